"""`snakemake plan`: a study for a folder of recordings, which then runs; nothing is written over."""

import pytest
import soundfile

from auscult.datasets import simulate
from tests.workflow.harness import Project, copy_workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A simulated release in the form of CirCor, and some of its sounds in folders named by class."""
    project = copy_workflow(tmp_path_factory.mktemp("plan"))
    options = simulate.Options(subjects=16, seed=1, seconds=(3.0, 4.0), twins=0.0)
    simulate.fetch(project.path("resources/hearts"), options, lambda line: None)
    for number, wav in enumerate(sorted(project.path("resources/hearts/training_data").glob("*.wav"))[:12]):
        samples, rate = soundfile.read(wav)
        folder = project.path("sounds") / ("loud" if number % 2 else "soft")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / wav.name, samples, rate)
    return project


def test_folders_of_classes_become_a_study_that_can_run(project):
    ran = project.run("plan", studies="demo", config=("recordings=sounds", "name=mine"))
    assert "wrote config/studies/mine.yaml" in ran.output and "--config studies=mine" in ran.output
    assert project.path("sounds/cases.csv").is_file()
    text = project.path("config/studies/mine.yaml").read_text()
    jobs = project.run("-n", studies="mine").jobs
    assert jobs["train"] == 5 and jobs["report"] == jobs["listen"] == 1
    again = project.run("plan", studies="demo", config=("recordings=sounds", "name=mine"), fails=True)
    assert "there is mine.yaml" in again.output and project.path("config/studies/mine.yaml").read_text() == text


@pytest.mark.slow
def test_a_planned_study_of_a_release_runs_to_its_report(project):
    project.run("plan", studies="demo", config=("recordings=resources/hearts", "name=hearts", "form=circor"))
    project.change("hearts", "systems.first.training.epochs", 2)
    project.run(studies="hearts")
    assert project.path("results/hearts/report.html").is_file() and project.path("results/hearts/listen.html").is_file()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (("recordings=sounds",), "name a folder and a study"),
        (("name=mine2",), "name a folder and a study"),
        (("recordings=sounds", "name=cache"), "such a folder in results"),
        (("recordings=sounds", "name=icbhi"), "a data set of this name"),
        (("recordings=config", "name=mine2"), "no recordings in a form that is known"),
    ],
)
def test_what_cannot_be_planned_is_said(project, config, message):
    assert message in project.run("plan", studies="demo", config=config, fails=True).output
    assert not project.path("config/studies/mine2.yaml").exists()
