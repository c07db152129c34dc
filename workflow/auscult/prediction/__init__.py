"""Prediction of new recordings by a study's winner: no network and no second stage is fitted here."""
