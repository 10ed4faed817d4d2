"""A page with the board's module and a stub of anywidget's model, fed by a real board."""

import time

from playwright.sync_api import expect

from cellist.board import assets
from cellist.board.live import Board
from cellist.model.reasons import Reason
from tests.board.fakes import Screen, Story

expect.set_options(timeout=30_000)  # a shared machine has slow moments

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
STUB = """
async ([module, ident]) => {
  const url = URL.createObjectURL(new Blob([module], {type: "text/javascript"}));
  const widget = await (await import(url)).default();
  const listeners = new Set(), losers = new Set();
  const of = (event) => (event === "msg:custom" ? listeners : losers);
  window.sent = [];
  window.deliver = (message) => listeners.forEach((receive) => receive(message));
  window.loseKernel = () => losers.forEach((lose) => lose());
  const model = {
    get: (name) => (name === "ident" ? ident : undefined),
    send: (message) => window.sent.push(message),
    on: (event, receive) => of(event).add(receive),
    off: (event, receive) => of(event).delete(receive),
  };
  window.again = (el) => widget.render({ model, el });
  window.cleanup = window.again(document.getElementById("widget"));
  window.listening = () => listeners.size;
}
"""

FRAMES = """
async (messages) => {
  const gaps = [], work = [];
  let last = performance.now();
  for (const message of messages) {
    for (let i = 0; i < 3; i += 1) {
      await new Promise((done) => requestAnimationFrame(done));
      const now = performance.now();
      gaps.push(now - last);
      last = now;
    }
    const begin = performance.now();
    window.deliver(message);
    const taken = performance.now() - begin;
    await new Promise((done) => requestAnimationFrame((frame) => {
      work.push(taken + performance.now() - frame);
      done();
    }));
    last = performance.now();
  }
  const at = (list, share) => list.sort((a, b) => a - b)[Math.ceil(list.length * share) - 1];
  return [at(gaps, 0.5), at(gaps, 0.95), at(work, 0.95), at(work, 0.5)];
}
"""


class Present(Story):
    """A story that takes place now: second 0 is ten seconds ago."""

    def __init__(self, *sinks):
        super().__init__(*sinks)
        self.zero = time.time_ns() - 10_000_000_000

    def enter(self, run, at, kind, name=None, message=""):
        super().enter(run, at, kind, name, message)
        run.entered = (*run.entered[:-1], self.zero + round(at * 1e9))
        run.states[-1].at = run.entered[-1]  # as somebody may have looked

    def wait_for_retry(self, run, begin, end, due):
        super().wait_for_retry(run, begin, end, due)
        run.due = self.zero + round(due * 1e9)
        return run


def crawl(story):
    """A flow under way: one result reused, some fetched, one failed, one waits for its retry."""
    flow = story.begin(story.flow(), 0)
    first = story.task("read_list", flow)
    first.why = Reason("hit", "reused", "same inputs, same source", saved=3.0)
    story.complete(first, 0, 1, "Cached")
    for i in range(20):
        story.complete(story.task("fetch", flow, upstream=[first], retries=3), 1 + i / 4, 2 + i / 4)
    story.fail(story.task("fetch", flow, upstream=[first], retries=3), 6, 7, "no such page")
    waiting = story.task("fetch", flow, upstream=[first], retries=3)
    story.wait_for_retry(waiting, 6, 7, due=60)
    return flow, waiting


class Live:
    """A board whose messages reach a page."""

    def __init__(self, browser, width=1000, dark=False, record="", **context):
        self.screen = Screen()
        self.clicks = []
        self.delivered = []
        self.board = Board("crawl", control=self.click, ui="widget", screen=self.screen)
        self.board.show()
        self.story = Present(lambda event: self.board.apply((event,)))
        self.context = browser.new_context(viewport={"width": width, "height": 700}, **context)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        light = "false" if dark else "true"
        self.page.set_content(
            f"<body data-jp-theme-light={light}><style>{assets.board_css()}</style>"
            f"<div id=widget></div>{record}</body>"
        )
        self.page.evaluate(STUB, [assets.board_js(), self.screen.ident])

    def click(self, action, run):
        self.clicks.append((action, run))
        return f"{action} was asked for."

    def deliver(self):
        """Draw a frame and let the page have all messages since the last time."""
        self.board.frame()
        while messages := [*self.screen.messages]:  # a thread of the board may add some meanwhile
            del self.screen.messages[: len(messages)]
            self.page.evaluate("(messages) => messages.forEach(window.deliver)", messages)
            self.delivered += messages
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")

    def hello(self):
        assert self.screen.receive is not None
        self.screen.receive({"kind": "hello"})
        self.deliver()

    def answer(self):
        """Let the board have what the page sent."""
        for message in self.page.evaluate("() => window.sent.splice(0)"):
            assert self.screen.receive is not None
            self.screen.receive(message)
        self.deliver()

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()
