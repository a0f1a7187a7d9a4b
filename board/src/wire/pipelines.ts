// Pipelines as the host sends them.
import { fields, flag, list, maybeNumber, maybeText, number, text } from "./read";

/** A box of a chain's picture. */
export interface Link {
  readonly kind: string;
  readonly name: string;
  readonly detail: string;
}

export interface Pipeline {
  readonly name: string;
  readonly phase: string;
  readonly why: string | null;
  readonly rate: number | null;
  readonly lag: number | null;
  readonly batch: number | null;
  readonly delay: number | null;
  readonly stateBytes: number | null;
  readonly groups: number | null;
  readonly generation: number | null;
  readonly digest: string | null;
  readonly swappedAt: number | null;
  readonly rejected: number | null;
  readonly deadLetters: number | null;
  readonly pinned: boolean;
  readonly onTrial: boolean;
  readonly refused: string | null;
  readonly chain: readonly Link[];
}

export interface Generation {
  readonly generation: number | null;
  readonly at: number;
  readonly outcome: string;
  readonly operators: readonly { readonly name: string; readonly digest: string }[];
  readonly why: string | null;
}

export interface Rate {
  readonly at: number;
  readonly rate: number | null;
  readonly lag: number | null;
  readonly generation: number | null;
}

export interface Detail {
  readonly now: number;
  readonly pipeline: Pipeline;
  readonly pinned: boolean;
  readonly generations: readonly Generation[];
  readonly rates: readonly Rate[];
  readonly rejected: readonly { readonly reason: string; readonly count: number; readonly sample: string | null }[];
  readonly letters: { readonly place: string | null; readonly count: number | null; readonly sample: string | null };
  readonly log: readonly { readonly at: number; readonly level: string; readonly text: string }[];
}

export function readPipelines(value: unknown): { now: number; pipelines: Pipeline[] } {
  const from = fields(value);
  return { now: number(from, "now"), pipelines: list(from, "pipelines", readPipeline) };
}

export function readDetail(value: unknown): Detail {
  const from = fields(value);
  const letters = fields(from["dead_letters"] ?? {});
  const pipeline = readPipeline(from["pipeline"]);
  return {
    now: number(from, "now"),
    pipeline,
    pinned: flag(from, "pinned") || pipeline.pinned,
    generations: list(from, "generations", readGeneration),
    rates: list(from, "rates", readRate),
    rejected: list(from, "rejected", (item) => {
      const of = fields(item);
      return { reason: text(of, "reason"), count: number(of, "count"), sample: maybeText(of, "sample") };
    }),
    letters: {
      place: maybeText(letters, "place"),
      count: maybeNumber(letters, "count"),
      sample: maybeText(letters, "sample"),
    },
    log: list(from, "log", (item) => {
      const of = fields(item);
      return { at: number(of, "at"), level: text(of, "level"), text: text(of, "text") };
    }),
  };
}

function readPipeline(value: unknown): Pipeline {
  const from = fields(value);
  return {
    name: text(from, "name"),
    phase: text(from, "phase"),
    why: maybeText(from, "why"),
    rate: maybeNumber(from, "records_per_s"),
    lag: maybeNumber(from, "lag"),
    batch: maybeNumber(from, "batch_ms"),
    delay: maybeNumber(from, "delay_ms"),
    stateBytes: maybeNumber(from, "state_bytes"),
    groups: maybeNumber(from, "groups"),
    generation: maybeNumber(from, "generation"),
    digest: maybeText(from, "digest"),
    swappedAt: maybeNumber(from, "swapped_at"),
    rejected: maybeNumber(from, "rejected"),
    deadLetters: maybeNumber(from, "dead_letters"),
    pinned: flag(from, "pinned"),
    onTrial: flag(from, "on_trial"),
    refused: maybeText(from, "refused"),
    chain: list(from, "chain", (item) => {
      const of = fields(item);
      return { kind: text(of, "kind"), name: text(of, "name"), detail: maybeText(of, "detail") ?? "" };
    }),
  };
}

function readGeneration(value: unknown): Generation {
  const from = fields(value);
  return {
    generation: maybeNumber(from, "generation"),
    at: number(from, "at"),
    outcome: text(from, "outcome"),
    operators: list(from, "operators", (item) => {
      const of = fields(item);
      return { name: text(of, "name"), digest: text(of, "digest") };
    }),
    why: maybeText(from, "why"),
  };
}

function readRate(value: unknown): Rate {
  const from = fields(value);
  return {
    at: number(from, "at"),
    rate: maybeNumber(from, "records_per_s"),
    lag: maybeNumber(from, "lag"),
    generation: maybeNumber(from, "generation"),
  };
}

