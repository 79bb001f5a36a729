// Reads the pages as people do, in a headless Chromium: an investigation while it runs, its evidence, feedback, the
// search, on a desktop and on a phone, light and dark. Counts what must not happen: dialogs, errors on the console,
// breaches of the policy, serious faults of accessibility.
//
//   node scripts/browser/check.mjs CHROMIUM PLAN.json FOLDER
//
// PLAN.json: {"base": "http://…", "token": "…", "pages": {"name": "/path", …}, "running": "/investigations/…",
//             "finished": "/investigations/…", "search": "words"}. Screenshots go into FOLDER.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import puppeteer from "puppeteer-core";

const WAIT_MS = 60_000;
const SIZES = { desktop: { width: 1200, height: 900 }, phone: { width: 360, height: 740, isMobile: true, hasTouch: true } };
const SERIOUS = ["serious", "critical"];

const [chromium, planFile, folder] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(folder, { recursive: true });

const faults = [];
const counts = { pages: 0, "axe runs": 0, screenshots: 0, dialogs: 0, "console errors": 0, "policy breaches": 0,
  "serious axe violations": 0, "wider than the screen": 0 };

function fault(kind, text) {
  counts[kind] = (counts[kind] ?? 0) + 1;
  faults.push(`${kind}: ${text}`);
}

function must(truth, text) {
  if (!truth) fault("wrong", text);
}

async function open(browser, size, scheme) {
  const page = await browser.newPage();
  await page.setViewport(SIZES[size]);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.setDefaultTimeout(WAIT_MS);
  page.on("dialog", async (dialog) => { fault("dialogs", dialog.message()); await dialog.dismiss(); });
  page.on("pageerror", (error) => fault("console errors", error.message));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const breach = message.text().includes("Content Security Policy");
    fault(breach ? "policy breaches" : "console errors", `${page.url()}: ${message.text()}`);
  });
  return page;
}

async function go(page, address) {
  const answer = await page.goto(plan.base + address, { waitUntil: "load" });
  counts.pages += 1;
  must(answer.ok(), `${address} answered ${answer.status()}`);
}

async function shot(page, name, fullPage = false) {
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage });
  counts.screenshots += 1;
}

// axe-core runs through the debugger's protocol, which the page's policy does not bind.
async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  counts["axe runs"] += 1;
  for (const one of found.violations.filter((violation) => SERIOUS.includes(violation.impact))) {
    const where = one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.failureSummary ?? ""}`).join(" | ");
    fault("serious axe violations", `${name}: ${one.id} (${one.help}) at ${where}`);
  }
}

async function fits(page, name) {
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (wide > screen) fault("wider than the screen", `${name}: ${wide} of ${screen} px`);
}

async function signIn(page) {
  await go(page, "/search?q=first");
  must(new URL(page.url()).pathname === "/sign-in", "a stranger is led to the sign-in");
  await accessible(page, "sign-in");
  await shot(page, "sign-in");
  await page.type("#token", plan.token);
  await Promise.all([page.waitForNavigation(), page.click("main button[type=submit]")]);
  must(page.url().endsWith("/search?q=first"), `signed in, it leads back: ${page.url()}`);
}

// An investigation while it runs: steps appear by themselves, then the report.
async function watchRunning(page) {
  await go(page, plan.running);
  const steps = () => page.$$eval(".progress li", (items) => items.length);
  const before = await steps();
  await shot(page, "running");
  console.log("watching");
  await page.waitForFunction((count) => document.querySelectorAll(".progress li").length > count, {}, before);
  await accessible(page, "running");
  await page.waitForSelector(".verdict-block");
  must(await page.$eval("main", (main) => main.textContent.includes("steps of the agent")), "the steps stay readable");
}

async function readEvidence(page) {
  await go(page, plan.finished);
  const place = await page.waitForSelector("[data-fetch]");
  const details = await place.evaluateHandle((one) => one.closest("details"));
  await details.evaluate((one) => { for (let up = one.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true; });
  await (await details.$("summary")).click();
  await page.waitForFunction((one) => one.querySelector("pre.observation")?.textContent.length > 2000, {}, details);
  const marked = await details.$eval("pre", (pre) => pre.querySelector("mark") !== null);
  must(marked, "the quote is marked in the whole text");
  must(await page.$eval(".command button", (button) => button.textContent === "Copy"), "commands can be copied");
}

async function giveFeedback(page) {
  await go(page, plan.finished);
  await page.type("#reason", "seen in a browser");
  await Promise.all([page.waitForNavigation(), page.click("button[value=helpful]")]);
  const said = await page.$eval("main", (main) => main.textContent);
  must(said.includes("Noted, thank you.") && said.includes("seen in a browser"), "feedback is shown");
}

async function search(page) {
  await go(page, "/search");
  await page.type("#q", plan.search);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  must(await page.$eval("mark", (mark) => mark.textContent.length > 0), "what was searched for is marked");
}

// The first stop of the keyboard leads past the navigation; each stop shows where it is.
async function keyboard(page) {
  await go(page, plan.finished);
  await page.keyboard.press("Tab");
  must(await page.evaluate(() => document.activeElement.className === "skip"), "the skip link comes first");
  await page.keyboard.press("Enter");
  must(await page.evaluate(() => document.activeElement.id === "main"), "it leads to the content");
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  must(outline !== "none", "the focus is seen");
}

async function filterWhileTyping(page) {
  await go(page, "/");
  const shown = () => page.$$eval("[data-list] > li:not([hidden])", (rows) => rows.length);
  const all = await shown();
  await page.type("#namespace", "zzzz");
  must(all > 0 && (await shown()) === 0, "the list is narrowed while typing");
}

// What is counted is counted: one fault of each kind, planted in a page of our own, and taken off the counts again.
async function plantFaults(browser) {
  const page = await open(browser, "phone", "light");
  const policy = "script-src 'none'; img-src data:";
  await page.setContent(`<!doctype html><html lang="en"><head><meta http-equiv="Content-Security-Policy" content="${policy}">
    <title>planted</title></head><body><main><h1>planted</h1><img src="data:,"><p>${"x".repeat(900)}</p>
    <script>alert(0)</script></main></body></html>`);
  await page.evaluate(() => { alert("planted"); console.error("planted"); });
  await accessible(page, "planted");
  await fits(page, "planted");
  await page.close();
  for (const kind of ["dialogs", "console errors", "policy breaches", "serious axe violations", "wider than the screen"]) {
    const seen = counts[kind] > 0;
    counts[kind] = 0;
    if (!seen) throw new Error(`a planted fault was not seen: ${kind}`);
  }
  counts["axe runs"] = 0;
  faults.length = 0;
}

const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"],
});
try {
  await plantFaults(browser);
  const first = await open(browser, "desktop", "light");
  await signIn(first);
  await watchRunning(first);
  await readEvidence(first);
  await giveFeedback(first);
  await search(first);
  await keyboard(first);
  await filterWhileTyping(first);
  await first.close();
  for (const size of Object.keys(SIZES)) {
    for (const scheme of ["light", "dark"]) {
      const page = await open(browser, size, scheme);
      for (const [name, address] of Object.entries(plan.pages)) {
        const what = `${name}-${size}-${scheme}`;
        await go(page, address);
        await fits(page, what);
        await accessible(page, what);
        await shot(page, what, true);
        if (what === "investigation-desktop-light") await shot(page, "readme");
      }
      await page.close();
    }
  }
} finally {
  await browser.close();
}
for (const [what, count] of Object.entries(counts)) console.log(`${what.padEnd(24)} ${count}`);
for (const text of faults) console.error(text);
process.exit(faults.length === 0 ? 0 : 1);
