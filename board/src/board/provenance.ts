// Where a panel's figures come from.
import { el } from "../dom";
import { type Zone, grouped, span } from "../format";
import { inOurs, lang } from "../lang";
import { dialog, facts } from "../page/dialog";
import { DataTable } from "../charts/table";
import type { Behind, Panel } from "../wire/board";
import { say, sayHosts } from "../words";
import type { Verdict } from "./verdict";

export function showProvenance(panel: Panel, verdict: Verdict, zone: Zone): void {
  const table = new DataTable({ class: "rows" });
  table.fill(panel);
  const at = (ms: number | null) => (ms === null ? say("never") : `${zone.dateTime(ms)} ${zone.name}`);
  const behind = panel.health.pipelines.map(pipelineOf);
  dialog(
    inOurs(panel.title),
    el("p", { class: "lead" }, say("whereFrom")),
    facts([
      [say("state"), el("span", { class: `state state-${verdict.level}` }, sayHosts(verdict.state))],
      [say("why"), verdict.why],
      [say("dataAt"), panel.health.dataAt === null ? null : at(panel.health.dataAt)],
      [say("queriedAt"), at(panel.queriedAt)],
      [say("staleAfter"), span(panel.health.staleAfter, lang)],
    ]),
    ...(behind.length > 0 ? behind : [el("p", { class: "quiet" }, say("noPipeline"))]),
    el("h3", {}, say("sameAsTable")),
    el("div", { class: "table-frame", tabindex: "0" }, table.element),
  );
}

function pipelineOf(pipeline: Behind): HTMLElement {
  const link = el("a", { href: `/pipelines/${encodeURIComponent(pipeline.name)}` }, pipeline.name);
  return el("section", { class: "behind" },
    el("h3", {}, `${say("pipeline")} `, link),
    facts([
      [say("phase"), sayHosts(pipeline.phase)],
      [say("operators"), pipeline.operators.join(", ")],
      [say("generation"), pipeline.generation === null ? null : `#${pipeline.generation}`],
      [say("digest"), pipeline.digest === null ? null : el("code", {}, pipeline.digest)],
      [say("lag"), pipeline.lag === null ? null : grouped(pipeline.lag)],
      [say("readTo"), pipeline.source],
    ]),
  );
}
