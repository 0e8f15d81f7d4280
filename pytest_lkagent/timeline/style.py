"""The colours of the picture, for light and for dark pages."""

from __future__ import annotations

from textwrap import dedent

__all__ = ["STYLE"]

STYLE = dedent("""
    .lk-call {
      --card: #ffffff; --edge: #d5dae1; --ink: #1c2430; --soft: #5b6675; --grid: #e6e9ee;
      --user: #dbe8fd; --user-edge: #2f6fd6; --agent: #d8f1e3; --agent-edge: #16875a;
      --tool: #fdeccb; --tool-edge: #b06f00; --noise: #e8eaee; --noise-edge: #7a8594;
      --alarm: #cf2233; --failed: #fbdcdf; --thinking: #e6dcf8;
    }
    @media (prefers-color-scheme: dark) {
      .lk-call {
        --card: #12171e; --edge: #323b47; --ink: #e8edf3; --soft: #9aa6b5; --grid: #232b35;
        --user: #17335f; --user-edge: #6ea4f7; --agent: #123f2d; --agent-edge: #43c58c;
        --tool: #4a3408; --tool-edge: #e5a93b; --noise: #2b333d; --noise-edge: #8a96a6;
        --alarm: #ff6b78; --failed: #551b22; --thinking: #3a2a5e;
      }
    }
    .lk-call text {
      font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
      fill: var(--ink); white-space: pre;
    }
    .lk-call .card { fill: var(--card); stroke: var(--edge); }
    .lk-call .grid { stroke: var(--grid); }
    .lk-call .fold { fill: var(--grid); opacity: 0.6; }
    .lk-call .time, .lk-call .name, .lk-call .waiting text, .lk-call .note { fill: var(--soft); }
    .lk-call .name { text-anchor: end; }
    .lk-call .note { font-style: italic; }
    .lk-call .bar rect { stroke-width: 1.2; }
    .lk-call .bar.user rect { fill: var(--user); stroke: var(--user-edge); }
    .lk-call .bar.agent rect { fill: var(--agent); stroke: var(--agent-edge); }
    .lk-call .bar.tool rect { fill: var(--tool); stroke: var(--tool-edge); }
    .lk-call .bar.noise rect { fill: var(--noise); stroke: var(--noise-edge); }
    .lk-call .bar.failed rect { fill: var(--failed); stroke: var(--alarm); }
    .lk-call .bar.agent .pause { fill: var(--card); stroke-dasharray: 3 3; }
    .lk-call .sign { stroke: var(--agent-edge); stroke-width: 2.5; }
    .lk-call .torn { stroke: var(--card); stroke-width: 4; stroke-dasharray: 3 3; }
    .lk-call .cut { stroke: var(--alarm); stroke-width: 3; }
    .lk-call .moment line { stroke: var(--soft); stroke-width: 2; }
    .lk-call .said text, .lk-call .waiting text {
      paint-order: stroke; stroke: var(--card); stroke-width: 3px;
    }
    .lk-call .state rect { fill: var(--grid); stroke: none; }
    .lk-call .state text { font-size: 10px; fill: var(--soft); }
    .lk-call .state.speaking rect { fill: var(--agent); }
    .lk-call .state.user.speaking rect { fill: var(--user); }
    .lk-call .state.thinking rect { fill: var(--thinking); }
    .lk-call .state.away rect, .lk-call .state.other rect { fill: var(--tool); }
    .lk-call .mark { stroke: var(--alarm); stroke-width: 1.5; stroke-dasharray: 5 3; }
    .lk-call .mark-time { fill: var(--alarm); font-weight: bold; }
    .lk-call .left { text-anchor: end; }
""")
