// Views by the kinds of charts.
import type { Chart } from "../wire/board";
import { barView } from "./bar";
import { lineView } from "./line";
import { mapView } from "./map";
import { numberView } from "./number";
import { pieView } from "./pie";
import { rankingView } from "./ranking";
import { tableView } from "./table";
import { tilesView } from "./tiles";
import type { View } from "./view";

/** Makes the view of a kind. `map` is the name of the board that has a map of its own, or null. */
export function viewOf(chart: Chart, map: string | null, changed: () => void): View {
  switch (chart) {
    case "map": return map === null ? tilesView() : mapView(map, changed);
    case "pie": return pieView();
    case "bar": return barView();
    case "line": return lineView();
    case "ranking": return rankingView();
    case "number": return numberView();
    case "table": return tableView();
  }
}
