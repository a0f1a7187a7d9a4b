// A picture in a sentence, for those who hear it. The numbers are in the table behind it.
import { inOurs, lang } from "../lang";
import type { Panel } from "../wire/board";

export function summaryOf(panel: Panel): string {
  const title = inOurs(panel.title);
  const rows = panel.rows.length;
  return lang === "zh" ? `${title}：图表，共 ${rows} 项，数值见后面的表格。` : `${title}: a chart of ${rows} values, which are in the table after it.`;
}
