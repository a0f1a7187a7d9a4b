// Languages of the page: the host chose one of two, and said which.

export type Lang = "zh" | "en";

/** A text of the board's, in both languages. */
export type Text = Readonly<Record<Lang, string>>;

/** The page's language. Tests run without a page, in English. */
export const lang: Lang =
  typeof document !== "undefined" && document.documentElement.lang.startsWith("zh") ? "zh" : "en";

export function inOurs(text: Text): string {
  return text[lang];
}
