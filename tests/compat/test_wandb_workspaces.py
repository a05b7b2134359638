"""Canary: the private names of wandb-workspaces that rnnexp uses."""

import warnings

import pytest

from rnnexp.compat.wandb_workspaces import specification

pytest.importorskip("wandb_workspaces")


def test_views_have_a_model_that_can_be_dumped() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    for view in (ws.Workspace(entity="me", project="p", name="n"), wr.Report(entity="me", project="p", title="n")):
        assert hasattr(view, "_to_model"), (
            f"{type(view).__name__}._to_model() is gone: find how wandb-workspaces now gives what save() sends, "
            "and change rnnexp.compat.wandb_workspaces"
        )
        plain = specification(view)
        assert "spec" in plain, "the dumped model has no spec, which save() sends to W&B"
        assert "me" in plain["entity" if "entity" in plain else "project"] or "me" in str(plain)
