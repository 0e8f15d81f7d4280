"""What a CI service says of its job, in the words of LiveKit's ``SimulationRun.CI``."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ci_of"]

# Whose variable is set, and where each field is found: the first that is not empty.
_CI: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "gitlab": (
        "GITLAB_CI",
        {
            "commit_sha": ("CI_COMMIT_SHA",),
            "ref": ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME"),
            "pull_request": ("CI_MERGE_REQUEST_IID",),
            "run_url": ("CI_PIPELINE_URL",),
            "actor": ("GITLAB_USER_LOGIN",),
        },
    ),
    "ci": (
        "CI",
        {
            "commit_sha": ("CI_COMMIT_SHA", "GIT_COMMIT", "COMMIT_SHA"),
            "ref": ("CI_COMMIT_BRANCH", "CI_COMMIT_REF", "BRANCH_NAME", "GIT_BRANCH"),
            "pull_request": ("CI_COMMIT_PULL_REQUEST", "CHANGE_ID"),
            "run_url": ("CI_PIPELINE_URL", "BUILD_URL"),
            "actor": ("CI_COMMIT_AUTHOR", "CHANGE_AUTHOR"),
        },
    ),
}


def ci_of(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return what the environment of a CI job tells of it, None where this is none.

    For GitHub Actions as the ``lk`` command line does.
    """
    if _is_set(environ, "GITHUB_ACTIONS"):
        ref, url = environ.get("GITHUB_REF", ""), ""
        if run := environ.get("GITHUB_RUN_ID"):
            server, repository = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
            url = f"{server}/{repository}/actions/runs/{run}"
        return _filled(
            provider="github",
            commit_sha=environ.get("GITHUB_SHA"),
            ref=environ.get("GITHUB_HEAD_REF") or environ.get("GITHUB_REF_NAME"),
            pull_request=ref.split("/")[2] if ref.startswith("refs/pull/") else None,
            run_url=url,
            actor=environ.get("GITHUB_ACTOR"),
        )
    for provider, (variable, fields) in _CI.items():
        if _is_set(environ, variable):
            found = {
                field: next((environ[name] for name in names if environ.get(name)), None)
                for field, names in fields.items()
            }
            return _filled(provider=provider, **found)
    return None


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() not in ("", "0", "false")


def _filled(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}
