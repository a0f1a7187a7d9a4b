// Builds the pages' files: `build.mjs DIRECTORY`; or the tests': `build.mjs --tests DIRECTORY`.
//
// The same sources give the same bytes on every machine: all that makes them is of the versions in package-lock.json, the
// compressors too (those of Node differ from version to version).
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "fflate";

// Its module for Node is CommonJS; the other one fetches itself.
const brotli = createRequire(import.meta.url)("brotli-wasm");
const here = dirname(fileURLToPath(import.meta.url));

async function pages(into) {
  const { outputFiles, metafile } = await build({
    entryPoints: { board: join(here, "src/main.ts"), style: join(here, "css/index.css") },
    absWorkingDir: here,
    outdir: into,
    bundle: true,
    minify: true,
    format: "iife",
    // Browsers of the last years, televisions' included.
    target: ["chrome108", "firefox115", "safari16"],
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  await mkdir(into, { recursive: true });
  for (const { path, contents } of outputFiles) {
    const name = path.endsWith(".css") ? "board.css" : "board.js";
    await writeFile(join(into, name), contents);
    await writeFile(join(into, `${name}.br`), brotli.compress(contents, { quality: 11 }));
    await writeFile(join(into, `${name}.gz`), gzipSync(contents, { level: 9, mtime: 0 }));
  }
  await writeFile(join(into, "icon.svg"), await readFile(join(here, "icon.svg")));
  await writeFile(join(into, "LICENSES.txt"), await licences(Object.keys(metafile.inputs)));
}

/** The licences and notices of the packages that these files are from. */
async function licences(inputs) {
  const of = (path) => path.split(`node_modules${sep}`).at(-1).split(sep)[0];
  const packages = [...new Set(inputs.filter((path) => path.includes("node_modules")).map(of))].sort();
  const parts = ["board.js contains the following software.\n"];
  for (const name of packages) {
    const directory = join(here, "node_modules", name);
    const { version } = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
    parts.push(`${"=".repeat(80)}\n${name} ${version}\n${"=".repeat(80)}\n`);
    // ECharts has a folder of licences, too.
    const there = (await readdir(directory)).filter((file) => /^(licen[cs]es?|notice)\b/i.test(file)).sort();
    if (!there.some((file) => /^licen/i.test(file))) throw new Error(`${name} says nothing of its licence`);
    for (const file of there) parts.push(...(await texts(join(directory, file))));
  }
  return parts.join("\n");
}

async function texts(path) {
  if (!(await stat(path)).isDirectory()) return [`${(await readFile(path, "utf8")).replaceAll("\r\n", "\n").trim()}\n`];
  const inside = (await readdir(path)).sort();
  return (await Promise.all(inside.map((file) => texts(join(path, file))))).flat();
}

async function tests(into) {
  const files = (await readdir(join(here, "test"))).filter((file) => file.endsWith(".test.ts"));
  await build({
    entryPoints: files.map((file) => join(here, "test", file)),
    outdir: into,
    bundle: true,
    format: "esm",
    outExtension: { ".js": ".mjs" },
    platform: "node",
    logLevel: "warning",
  });
}

const [first, second] = process.argv.slice(2);
await (first === "--tests" ? tests(second) : pages(first));
