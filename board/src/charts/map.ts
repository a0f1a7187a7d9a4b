// A map of one's own, from the board's GeoJSON.
import { grouped, short } from "../format";
import { lang } from "../lang";
import { colour, fontFamily, rem } from "../theme";
import type { Panel } from "../wire/board";
import { withUnit } from "./axes";
import { EChart, type Option, registerMap, tooltip } from "./echart";
import { dataOf } from "./series";
import { summaryOf } from "./summary";
import { tilesView } from "./tiles";
import type { View } from "./view";

type GeoJson = Parameters<typeof registerMap>[1];

/** Loads the board's map once; the squares are there until it has come, and stay if it is none. */
export function mapView(board: string, changed: () => void): View {
  let view = tilesView();
  let panel: Panel | null = null;
  const frame = { element: view.element };
  void load(board).then((loaded) => {
    if (!loaded) return;
    const map = drawn(board);
    view.element.replaceWith(map.element);
    view = map;
    frame.element = map.element;
    if (panel !== null) map.fill(panel);
    changed();
  });
  return {
    get element() { return frame.element; },
    get isReadable() { return view.isReadable; },
    fill(next) {
      panel = next;
      view.fill(next);
    },
    shown: () => view.shown(),
    dispose: () => { view.dispose(); },
  };
}

const loads = new Map<string, Promise<boolean>>();

function load(board: string): Promise<boolean> {
  const before = loads.get(board);
  if (before !== undefined) return before;
  const loading = (async () => {
    try {
      const answer = await fetch(`/api/boards/${encodeURIComponent(board)}/map`);
      if (!answer.ok) return false;
      registerMap(board, (await answer.json()) as GeoJson);
      return true;
    } catch {
      return false;
    }
  })();
  loads.set(board, loading);
  return loading;
}

function drawn(board: string): View {
  let panel: Panel | null = null;
  const chart = new EChart("map", () => (panel === null ? null : option(board, panel)));
  return {
    element: chart.element,
    isReadable: false,
    fill(next) {
      panel = next;
      chart.draw(summaryOf(next));
    },
    shown: () => chart.shown(),
    dispose: () => { chart.dispose(); },
  };
}

function option(board: string, panel: Panel): Option {
  const data = dataOf(panel);
  const series = data.series[0];
  const numbers = (series?.numbers ?? []).filter((number) => number !== null);
  const [least, most] = numbers.length > 0 ? [Math.min(...numbers), Math.max(...numbers)] : [0, 1];
  return {
    tooltip: {
      ...tooltip(),
      trigger: "item",
      formatter: ({ name, dataIndex }: { name: string; dataIndex: number }) =>
        `${name}\n${withUnit(grouped(series?.cells[dataIndex] ?? null), panel)}`,
    },
    visualMap: {
      type: "continuous",
      min: least,
      max: most > least ? most : least + 1,
      left: 0.5 * rem(),
      bottom: 0.5 * rem(),
      itemHeight: 5 * rem(),
      itemWidth: 0.7 * rem(),
      calculable: false,
      formatter: (value: number) => short(value, lang),
      text: [short(most, lang), short(least, lang)],
      textStyle: { color: colour("muted"), fontSize: 0.8 * rem(), fontFamily: fontFamily() },
      inRange: { color: [0, 2, 4, 6].map((step) => colour(`heat-${step}`)) },
    },
    series: [
      {
        id: "map",
        type: "map",
        map: board,
        roam: false,
        selectedMode: false,
        layoutCenter: ["50%", "50%"],
        layoutSize: "96%",
        label: { show: false },
        itemStyle: { areaColor: colour("raised"), borderColor: colour("panel"), borderWidth: 1 },
        emphasis: { label: { show: true, color: colour("text") }, itemStyle: { areaColor: colour("accent") } },
        data: data.labels.map((name, place) => ({ name, value: series?.numbers[place] ?? null })),
      },
    ],
  };
}
