// What pages do beyond HTML: copy buttons, long texts on demand, a filter while typing, steps as they happen. Every
// page works without it. Data becomes text nodes only, never markup.

const element = (name, text, className) => {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
};

function copyButtons() {
  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll("[data-copy]")) {
    const button = element("button", "Copy");
    button.type = "button";
    button.setAttribute("aria-label", "Copy the command");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    box.classList.add("copies");
    box.append(button);
  }
}

async function whole(place) {
  const answer = await fetch(place.dataset.fetch, { headers: { accept: "text/plain" } });
  if (!answer.ok) return;
  const text = await answer.text();
  const quote = place.dataset.quote;
  const at = quote ? text.indexOf(quote) : -1;
  const shown = element("pre", "", "observation");
  shown.tabIndex = 0;
  if (at < 0) {
    shown.textContent = text;
  } else {
    shown.append(text.slice(0, at), element("mark", quote), text.slice(at + quote.length));
  }
  place.replaceWith(shown);
  shown.querySelector("mark")?.scrollIntoView({ block: "nearest" });
}

function longTexts() {
  for (const place of document.querySelectorAll("[data-fetch]")) {
    const details = place.closest("details");
    details?.addEventListener("toggle", () => { if (details.open) whole(place); }, { once: true });
  }
}

// Rows that the server sent are narrowed at once; sending the form asks it.
function filterWhileTyping() {
  const form = document.querySelector("[data-filter]");
  if (!form) return;
  const list = [...document.querySelectorAll("[data-list] > li")];
  form.addEventListener("input", () => {
    const wanted = [...new FormData(form).values()].map((value) => value.trim().toLowerCase()).filter(Boolean);
    for (const row of list) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
  });
}

function said(name, data) {
  if (name === "claimed") return `A worker began, attempt ${data.attempt}`;
  if (name === "retrying") return `The attempt failed and is repeated${data.error ? `: ${data.error}` : ""}`;
  if (name === "queued") return `Queued: ${data.reason}`;
  if (name === "done") return `Ended: ${data.state}`;
  return null;
}

function step(data) {
  const item = element("li", `Step ${data.step}`);
  for (const call of data.calls ?? []) {
    const given = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
    const short = given && given.length > 240 ? `${given.slice(0, 240)}…` : given ?? "";
    item.append(document.createElement("br"), element("code", `${call.tool} ${short}`), ` ${call.status}`);
    if (call.evidence) item.append(` ${call.evidence}`);
  }
  return item;
}

function steps() {
  const list = document.querySelector("[data-events]");
  if (!list) return;
  const last = Number(list.dataset.last);
  const stream = new EventSource(list.dataset.events);
  for (const name of ["queued", "claimed", "step", "retrying", "done"]) {
    stream.addEventListener(name, (event) => {
      if (Number(event.lastEventId) <= last) return;
      const data = JSON.parse(event.data);
      list.append(name === "step" ? step(data) : element("li", said(name, data)));
      if (name === "done") {
        stream.close();
        location.reload();
      }
    });
  }
}

copyButtons();
longTexts();
filterWhileTyping();
steps();
