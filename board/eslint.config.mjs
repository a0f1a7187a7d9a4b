import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/** Ways in which a text could become HTML, or script. The pages have none. */
const html = ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "write", "writeln"].map((property) => ({
  property,
  message: "what comes from the host is text: use textContent",
}));

export default defineConfig(
  { ignores: ["build/", "node_modules/", "*.mjs"] },
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: "error",
      "no-eval": "error",
      "no-restricted-properties": ["error", ...html],
      "no-restricted-globals": ["error", { name: "event", message: "take it as a parameter" }],
      // Numbers in a text are what a board is made of.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["test/**"],
    // The runner waits for the tests that it is told of.
    rules: { "@typescript-eslint/no-floating-promises": "off" },
  },
);
