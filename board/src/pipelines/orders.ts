// Orders to a pipeline. They need the admin token, which is asked for once and kept in this tab alone.
import { button, el, setText } from "../dom";
import { dialog } from "../page/dialog";
import { fields } from "../wire/read";
import { say } from "../words";

export type Verb = "rollback" | "pin" | "unpin" | "retry";

const KEPT = "sluice.token";

interface Order {
  readonly pipeline: string;
  readonly verb: Verb;
  /** What will happen, in a sentence. */
  readonly what: string;
  readonly body?: Readonly<Record<string, number>>;
}

/** Asks whether it is meant, and for the token where it isn't known; carries the order out and says what came of it. */
export function ask(order: Order, done: () => void): void {
  const token = el("input", { type: "password", autocomplete: "off", spellcheck: "false", id: "token", required: "" });
  const label = el("label", { for: "token" }, el("span", {}, say("token")), token, el("small", {}, say("tokenWhy")));
  label.hidden = keptToken() !== null;
  token.disabled = label.hidden;
  const result = el("p", { class: "result", role: "status" });
  const go = el("button", { type: "submit", class: "primary" }, say("go"));
  const cancel = button({}, say("cancel"), () => { shown.close(); });
  const form = el("form", {}, el("p", { class: "what" }, order.what), label, result, el("div", { class: "choices" }, cancel, go));
  const shown = dialog(`${say(order.verb)}: ${order.pipeline}`, form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!token.disabled) keepToken(token.value);
    go.disabled = true;
    setText(result, "…");
    void give(order).then(({ isDone, isRefused, said }) => {
      setText(result, said);
      result.className = isDone ? "result" : "result is-wrong";
      if (isRefused) {
        forgetToken();
        label.hidden = token.disabled = false;
        token.focus();
      }
      go.hidden = isDone;
      go.disabled = false;
      setText(cancel, isDone ? say("close") : say("cancel"));
      if (isDone) done();
    });
  });
}

interface Outcome {
  readonly isDone: boolean;
  /** The token isn't the host's. */
  readonly isRefused: boolean;
  readonly said: string;
}

async function give({ pipeline, verb, body }: Order): Promise<Outcome> {
  try {
    const answer = await fetch(`/api/pipelines/${encodeURIComponent(pipeline)}/${verb}`, {
      method: "POST",
      headers: { authorization: `Bearer ${keptToken() ?? ""}`, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (answer.status === 401 || answer.status === 403) return { isDone: false, isRefused: true, said: say("wrongToken") };
    const { done, error } = fields(await answer.json());
    const said = [done, error].filter((one) => typeof one === "string").join(" ");
    return { isDone: answer.ok, isRefused: false, said: said === "" ? say(answer.ok ? "done" : "noAnswer") : said };
  } catch {
    return { isDone: false, isRefused: false, said: say("noAnswer") };
  }
}

function keptToken(): string | null {
  return sessionStorage.getItem(KEPT);
}

function keepToken(token: string): void {
  sessionStorage.setItem(KEPT, token.trim());
}

function forgetToken(): void {
  sessionStorage.removeItem(KEPT);
}
