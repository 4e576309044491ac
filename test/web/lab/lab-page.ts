// The whole page of the lab in Node, in virtual time. Its worker answers when the test says so.

import { afterEach, beforeEach, expect, vi } from 'vitest'
import { LabAnswers, loadRuleFor } from '../../../web/src/lab/lab-answers.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { loaderOfPage } from '../page-modules.ts'
import { type Screen, show, TinyNode } from '../tiny-document.ts'

type Listener = (event: object) => void
type Receiver = (event: { readonly data: LabAnswer }) => void

const HOST = 'http://127.0.0.1:7360/'
const FRAME_MS = 16
/** A run that stands still needs fewer. */
const FRAMES_MAX = 100

/** A browser with one tab: what it keeps outlives the page. */
export class Browser {
  readonly kept = new Map<string, string>()
  readonly session = new Map<string, string>()
  /** The fragment of the address. */
  hash = ''
  /** Files that the page saved. */
  readonly saved: Blob[] = []
  /** The user wants no motion that only shows a change. */
  isCalm = true
  #page: LabPage | undefined

  /** Replaces the globals for each test. */
  constructor() {
    beforeEach(() => {
      vi.useFakeTimers()
      this.kept.clear()
      this.session.clear()
      this.saved.length = 0
      this.isCalm = true
    })
    afterEach(async () => {
      await this.#page?.screen.leave()
      this.#page = undefined
      vi.restoreAllMocks()
      vi.unstubAllGlobals()
      vi.useRealTimers()
    })
  }

  /** Loads the page at this fragment, and answers all that it requests. */
  async load(fragment = ''): Promise<LabPage> {
    await this.#page?.screen.leave()
    this.hash = fragment
    const page = new LabPage(this)
    this.#page = page
    await page.begin()
    return page
  }
}

const storage = (kept: Map<string, string>) => ({
  getItem: (name: string) => kept.get(name) ?? null,
  setItem: (name: string, value: string) => void kept.set(name, value),
  removeItem: (name: string) => void kept.delete(name),
})

export class LabPage {
  screen!: Screen
  /** Requests without an answer. */
  readonly requests: LabRequest[] = []
  readonly answers = new LabAnswers(() => 0)
  readonly body = new TinyNode('body')
  /** Gives a module of this page. */
  readonly load = loaderOfPage()
  readonly #browser: Browser
  #receive: Receiver = () => {}
  readonly #listeners: { readonly type: string; readonly listener: Listener }[] = []

  constructor(browser: Browser) {
    this.#browser = browser
  }

  async begin(): Promise<void> {
    this.#stubGlobals()
    const { App } = await this.load<{ readonly App: unknown }>('lab/app.tsx')
    this.screen = await show(App, {})
    await this.settle()
  }

  #stubGlobals(): void {
    const [page, browser] = [this, this.#browser]
    vi.stubGlobal(
      'Worker',
      class {
        postMessage(request: LabRequest): void {
          page.requests.push(structuredClone(request))
        }

        addEventListener(type: string, receive: Receiver): void {
          if (type === 'message') page.#receive = receive
        }
      },
    )
    vi.stubGlobal('document', { documentElement: { dataset: {} } })
    vi.stubGlobal('localStorage', storage(browser.kept))
    vi.stubGlobal('sessionStorage', storage(browser.session))
    vi.stubGlobal('matchMedia', () => ({ matches: browser.isCalm }))
    vi.stubGlobal('location', {
      get hash() {
        return browser.hash
      },
      get href() {
        return HOST + browser.hash
      },
    })
    vi.stubGlobal('history', {
      replaceState: (_: unknown, __: string, fragment: string) => {
        browser.hash = fragment
      },
    })
    vi.stubGlobal('addEventListener', (type: string, listener: Listener) =>
      this.#listeners.push({ type, listener }),
    )
    vi.stubGlobal('removeEventListener', (type: string, listener: Listener) => {
      const at = this.#listeners.findIndex((one) => one.type === type && one.listener === listener)
      if (at >= 0) this.#listeners.splice(at, 1)
    })
    vi.stubGlobal('requestAnimationFrame', (draw: (at: number) => void) =>
      setTimeout(() => draw(performance.now()), FRAME_MS),
    )
    vi.stubGlobal('cancelAnimationFrame', clearTimeout)
    vi.stubGlobal(
      'ResizeObserver',
      class {
        readonly #resized: (entries: readonly object[]) => void

        constructor(resized: (entries: readonly object[]) => void) {
          this.#resized = resized
        }

        observe(): void {
          this.#resized([{ contentRect: { width: 800 } }])
        }

        disconnect(): void {}
      },
    )
    for (const name of ['Element', 'HTMLElement', 'SVGElement']) vi.stubGlobal(name, TinyNode)
    vi.stubGlobal(
      'DOMPoint',
      class {
        readonly x: number
        readonly y: number

        constructor(x: number, y: number) {
          ;[this.x, this.y] = [x, y]
        }

        matrixTransform(): this {
          return this
        }
      },
    )
    vi.stubGlobal('innerHeight', 900)
    vi.stubGlobal('scrollBy', () => {})
    vi.spyOn(URL, 'createObjectURL').mockImplementation((blob) => {
      browser.saved.push(blob as Blob)
      return 'blob:run'
    })
  }

  /** Answers the request that is in flight. */
  async answer(): Promise<void> {
    const request = this.requests.shift() ?? expect.fail('no request is in flight')
    await loadRuleFor(request)
    this.#receive({ data: structuredClone(this.answers.answer(request)) })
  }

  /** Answers until the page requests nothing more, and lets it draw. */
  async settle(): Promise<void> {
    for (let frames = 0, isDrawn = false; !isDrawn; frames++) {
      if (frames === FRAMES_MAX) expect.fail('the run plays')
      while (this.requests.length > 0) await this.answer()
      await vi.advanceTimersByTimeAsync(FRAME_MS)
      isDrawn = this.requests.length === 0
    }
    await vi.advanceTimersByTimeAsync(500)
  }

  /** Lets real time pass while the worker answers at once. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += FRAME_MS) {
      await vi.advanceTimersByTimeAsync(FRAME_MS)
      while (this.requests.length > 0) await this.answer()
    }
  }

  /** An event of the window. */
  fire(type: string, event: object = {}): void {
    for (const one of this.#listeners.filter((each) => each.type === type)) one.listener(event)
  }

  /** Presses a key. Returns whether the page has used it. */
  press(key: string, more: object = {}): boolean {
    let isUsed = false
    const preventDefault = (): void => {
      isUsed = true
    }
    this.fire('keydown', { key, target: this.body, preventDefault, ...more })
    return isUsed
  }

  async type(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.press(key)
      await this.settle()
    }
  }

  async click(name: string): Promise<void> {
    await this.screen.click(name)
    await this.settle()
  }

  /** The element with this name, of any kind. */
  find(name: string | RegExp): TinyNode {
    const isNamed = (text: string): boolean => (typeof name === 'string' ? text === name : name.test(text))
    const all = ['button', 'g', 'input', 'section', 'li', 'summary'].flatMap((kind) => this.screen.all(kind))
    return (
      all.find(({ attributes, textContent }) =>
        isNamed(attributes.get('aria-label') ?? textContent.trim()),
      ) ?? expect.fail(`there is no ${name} in: ${this.screen.text()}`)
    )
  }

  /** Somebody edits the address. */
  async visit(fragment: string): Promise<void> {
    this.#browser.hash = fragment
    this.fire('hashchange')
    await this.settle()
  }

  /** Chooses a file. A browser says nothing when it is the file that the field already has. */
  async choose(label: string, name: string, text: string): Promise<void> {
    const field = this.find(label) as TinyNode & { files: readonly object[] }
    if (field.value === name) return
    field.value = name
    field.files = [new File([text], name)]
    field.fire('change')
    await vi.advanceTimersByTimeAsync(0)
    await this.settle()
  }

  get now(): number {
    return this.answers.lab.now
  }
}
