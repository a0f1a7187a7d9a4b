// The 34 provinces as squares, about where they lie. All are of one size, so that the small ones can be read as the large.

interface Province {
  readonly name: string;
  readonly english: string;
  /** From the west, and from the north. */
  readonly column: number;
  readonly row: number;
}

export const TILE_COLUMNS = 7;
export const TILE_ROWS = 7;

const ROWS: readonly (readonly [number, string, string][])[] = [
  [[4, "内蒙古", "Inner Mongolia"], [6, "吉林", "Jilin"], [7, "黑龙江", "Heilongjiang"]],
  [[1, "新疆", "Xinjiang"], [2, "甘肃", "Gansu"], [3, "宁夏", "Ningxia"], [4, "山西", "Shanxi"], [5, "北京", "Beijing"], [6, "辽宁", "Liaoning"]],
  [[1, "西藏", "Tibet"], [2, "青海", "Qinghai"], [3, "陕西", "Shaanxi"], [4, "河南", "Henan"], [5, "河北", "Hebei"], [6, "天津", "Tianjin"]],
  [[2, "四川", "Sichuan"], [3, "重庆", "Chongqing"], [4, "湖北", "Hubei"], [5, "安徽", "Anhui"], [6, "山东", "Shandong"]],
  [[2, "云南", "Yunnan"], [3, "贵州", "Guizhou"], [4, "湖南", "Hunan"], [5, "江西", "Jiangxi"], [6, "江苏", "Jiangsu"], [7, "上海", "Shanghai"]],
  [[3, "广西", "Guangxi"], [4, "广东", "Guangdong"], [5, "福建", "Fujian"], [6, "浙江", "Zhejiang"]],
  [[3, "海南", "Hainan"], [4, "澳门", "Macau"], [5, "香港", "Hong Kong"], [7, "台湾", "Taiwan"]],
];

export const PROVINCES: readonly Province[] = ROWS.flatMap((row, place) =>
  row.map(([column, name, english]) => ({ name, english, column, row: place + 1 })),
);

/** Endings of a province's full name. */
const ENDING = /(省|市|特别行政区|壮族自治区|回族自治区|维吾尔自治区|自治区)$/;

/** The short name of a province, from its short or full name in Chinese or its English one; null if it is none. */
export function provinceOf(label: string): string | null {
  const short = label.trim().replace(ENDING, "");
  const english = short.toLowerCase().replace(/\s+/g, "");
  const found = PROVINCES.find((one) => one.name === short || one.english.toLowerCase().replace(" ", "") === english);
  return found?.name ?? null;
}
