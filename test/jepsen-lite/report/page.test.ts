// The page's script, on a document that records drawings and texts. No test judges the looks.

import { createContext, runInContext } from 'node:vm'
import { expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import { renderReport } from '../../../jepsen-lite/report/index.ts'
import { get, put, Story } from '../checker/story.ts'

test('draws every operation, and nothing of what a filter leaves out', () => {
  const story = new Story().tell(put('x', '1'), {})
  story.ask(put('y', '2')).fail('overloaded')
  story.ask(put('y', '3'), 'b').unknown()
  const page = open(story)
  expect(page.drawn()).toEqual([
    'put x = "1" → done',
    'put y = "2" → overloaded',
    'put y = "3" → outcome_unknown',
  ])
  page.choose('key', '0')
  expect(page.drawn()).toEqual(['put x = "1" → done'])
  page.choose('key', '-1')
  page.choose('outcome', 'unknown')
  expect(page.drawn()).toEqual(['put y = "3" → outcome_unknown'])
})

test('draws operations that are not about single keys', () => {
  const story = new Story({ log: 'log' })
    .tell({ f: 'lock', name: 'a' }, { token: 5 })
    .tell({ f: 'guarded-put', name: 'a', token: 5, key: 'g', value: 'v' }, { applied: false })
    .tell({ f: 'pop', queue: 'q' }, { item: 'i', token: 6, attempts: 1, priority: 2, value: 'v' })
    .tell({ f: 'keep-alive', lease: '7' }, { ttlMs: 2_000 })
  expect(open(story).drawn()).toEqual([
    'lock a → token 5',
    'put g = "v" while a is held with token 5 → condition did not hold',
    'pop from q → "v", item i, token 6, attempt 1, priority 2',
    'keep lease 7 alive → 2000 ms',
  ])
})

test('leads to what fits nowhere, and tells what it contradicts', () => {
  const story = new Story()
    .tell(put('x', 'old'), {})
    .tell(put('x', 'new'), {})
    .tell(get('x'), { value: 'old' })
  const page = open(story)
  page.press('n')
  expect(page.told()).toMatch(/^get x fits nowhere .* answer "old" .* the longest order ends with "new"$/)
})

test('goes from operation to operation by keys alone', () => {
  const page = open(
    new Story().tell(put('x', '1'), {}).tell(get('x'), { value: '1' }).tell(put('x', '2'), {}, 'b'),
  )
  page.press('ArrowRight')
  expect(page.told()).toMatch(/^put x = "1" .* x before its state at the beginning x from 1\.000 ms "1"$/)
  page.press('ArrowRight')
  expect(page.told()).toMatch(/^get x /)
  page.press('ArrowDown')
  expect(page.told()).toMatch(/^put x = "2" /)
  page.press('Escape')
  expect(page.told()).toMatch(/^Point at something/)
})

test('draws only what is in view', () => {
  const story = new Story()
  for (let n = 0; n < 50; n++) story.tell(put('x', `${n}`), {})
  const page = open(story)
  const heading = 'Operations, by client'
  // A bar and the two strokes of its point.
  expect(page.fills(heading)).toBe(150)
  for (let n = 0; n < 8; n++) page.press('+')
  const some = page.fills(heading)
  expect(some).toBeGreaterThan(0)
  expect(some).toBeLessThan(15)
})

test('draws what processes wrote below their lanes, until the next line', () => {
  const story = new Story().note('start', { process: 'a' }).note('start', { process: 'b' })
  const write = (text: string, stream = 'stdout') => story.note('output', { process: 'a', stream, text })
  write('the first line')
  story.pass(80)
  write('the second line', 'stderr')
  story.pass(120)
  write('the last line')
  story.note('violation', { message: 'a promise' })
  const page = open(story)
  const lines = () => page.texts('Processes').filter((text) => text.includes('line'))
  expect(page.texts('Processes')).toEqual(expect.arrayContaining(['a', 'running', 'b']))
  expect(lines()).toEqual(['the first line', '! the second line', 'the last line'])
  // Without operations there are no charts of them.
  expect(page.headings()).toEqual(['Overview', 'Processes'])
  // In the middle, where no line begins, is the last one before.
  for (let n = 0; n < 8; n++) page.press('+')
  expect(lines()).toEqual(['! the second line'])
})

/** A fault of a node and a process, and one of this process alone. Another process writes five lines. */
function struck(): Story {
  const story = new Story().note('start', { process: 'a' }).note('start', { process: 'b' })
  story.note('role', { node: 'n1', role: 'leader', term: 2 }).note('role', { node: 'n2', role: 'follower' })
  story.note('inject', { fault: 'crash', id: 1, nodes: ['n2'], processes: ['b'], effect: 'b' }).pass(100)
  story.note('heal', { fault: 'crash', id: 1 })
  for (const text of ['1st', '2nd', '3rd', '4th', '5th']) story.note('output', { process: 'a', text })
  story
    .pass(100)
    .note('inject', { fault: 'pause', id: 2, nodes: [], processes: ['b'], by: 5 })
    .pass(100)
  return story.note('heal', { fault: 'pause', id: 2 }).note('violation')
}

test('tells the last lines of the process at the pointer', () => {
  const page = open(struck())
  const told = (part: number, y: number) => {
    page.point('Processes', part, y)
    return page.told()
  }
  expect(told(0.6, 5)).toMatch(/^a: running interval .* ms 2nd .* ms 3rd .* ms 4th .* ms 5th$/)
  expect(told(0.1, 5)).toMatch(/^a: running interval \S+ to \S+ ms$/)
  // The lane of the second process begins below the lines of the first one.
  expect(told(0.6, 40)).toMatch(/^a: running .* 5th$/)
  expect(told(0.6, 45)).toMatch(/^b: running interval \S+ to \S+ ms$/)
})

test('tells the events of the process at the pointer, not of others', () => {
  const story = new Story().note('start', { process: 'a' }).note('start', { process: 'b' }).pass(100)
  const page = open(story.note('kill', { process: 'b' }).pass(100).note('violation'))
  page.point('Processes', 0.5, 5)
  expect(page.told()).toMatch(/^a: running interval 1\.0 to 204\.0 ms$/)
  page.point('Processes', 0.5, 26 + 5)
  expect(page.told()).toMatch(/^b: \w+ interval .* ms kill 103\.0 ms $/)
})

test('tells which nodes and processes a fault hit', () => {
  const page = open(struck())
  const told = (part: number) => {
    page.point('Faults', part, 8)
    return page.told()
  }
  expect(told(0.2)).toMatch(/^fault crash processes b nodes n2 interval .* took effect b$/)
  expect(told(0.8)).toMatch(/^fault pause processes b interval .* took effect no effect was seen how by 5$/)
})

test('a program that has ended by itself is not in the colour of one that was killed', () => {
  const story = new Story().note('start', { process: 'a' }).note('start', { node: 'n1' }).pass(100)
  story.note('ended', { process: 'a' }).note('ended', { node: 'n1' }).pass(100).note('violation')
  const page = open(story)
  expect(page.coloursOf('Processes', '■')).toEqual(['var(--ink)'])
  expect(page.coloursOf('Nodes', '■')).toEqual(['var(--down)'])
})

test('leads to a time of a table, closer than before or as close', () => {
  const page = open(struck())
  const view = () =>
    [...page.window().matchAll(/(-?[\d.]+) (m?)s/g)].map(
      ([, value, milli]) => Number(value) * (milli ? 1 : 1_000),
    )
  const length = () => (view()[1] ?? 0) - (view()[0] ?? 0)
  const whole = length()
  page.clickTime(150)
  expect(length() / whole).toBeCloseTo(1 / 8, 1)
  for (let n = 0; n < 8; n++) page.press('+')
  const [close, before] = [length(), view()]
  page.clickTime(100)
  expect(length() / close).toBeCloseTo(1, 1)
  expect(view()).not.toEqual(before)
})

test('underlines the lanes that a fault hit', () => {
  const page = open(struck())
  // The lane of b is below that of a, which has lines.
  expect(page.underlined('Processes')).toEqual([42 + 24, 42 + 24])
  expect(page.underlined('Nodes')).toEqual([26 + 24])
})

// ---------------------------------------------------------------------------------------------------------------------

type Listener = (event: object) => void

class FakeElement {
  readonly style: Record<string, string> = {}
  readonly dataset: Record<string, string> = {}
  readonly listeners = new Map<string, Listener>()
  /** Drawings, with the colour of the moment at the end. */
  readonly calls: [name: string, ...args: unknown[]][] = []
  readonly clientWidth = 2_000
  children: FakeElement[] = []
  text = ''
  value = ''
  className = ''
  hidden = false

  get textContent(): string {
    return [this.text, ...this.children.map((child) => child.textContent)]
      .filter((text) => text !== '')
      .join(' ')
  }

  set textContent(text: string) {
    this.text = text
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, listener)
  }

  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children.filter((child) => typeof child !== 'string'))
  }

  replaceChildren(...children: FakeElement[]): void {
    this.children = children
  }

  scrollIntoView(): void {}

  getBoundingClientRect() {
    return { top: 0, bottom: 100 }
  }

  getContext(): object {
    const properties: Record<string, unknown> = {
      measureText: (text: string) => ({ width: text.length }),
      createPattern: () => 'a pattern',
    }
    return new Proxy(properties, {
      get: (target, name) =>
        typeof name !== 'string' || name in target
          ? target[String(name)]
          : (...args: unknown[]) => this.calls.push([name, ...args, properties.fillStyle]),
    })
  }
}

class FakeSelect extends FakeElement {}
class FakeButton extends FakeElement {}

/** The report of a story, opened. */
function open({ history }: Story) {
  const html = renderReport({ history, verdict: check(history) })
  const [json = '', script = ''] = [...html.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(
    ([, text]) => text,
  )
  const elements = new Map<string, FakeElement>()
  const element = (name: string, Kind = FakeElement): FakeElement => {
    const known = elements.get(name) ?? new Kind()
    elements.set(name, known)
    return known
  }
  element('data').text = json
  for (const [name, first] of [
    ['key', '-1'],
    ['client', '-1'],
    ['outcome', ''],
  ])
    element(`select[name=${name}]`, FakeSelect).value = first ?? ''
  Object.assign(element('controls'), {
    querySelector: (selector: string) =>
      element(selector, selector.startsWith('select') ? FakeSelect : FakeButton),
  })
  const page = {
    document: {
      documentElement: element('root'),
      getElementById: (id: string) => element(id),
      createElement: () => new FakeElement(),
      addEventListener: (type: string, listener: Listener) =>
        element('root').addEventListener(type, listener),
      querySelector: () => null,
    },
    ...{
      HTMLElement: FakeElement,
      HTMLSelectElement: FakeSelect,
      HTMLButtonElement: FakeButton,
      Option: FakeElement,
    },
    ResizeObserver: class {
      observe() {}
    },
    getComputedStyle: ({ style }: FakeElement) => ({ color: style.color, fontFamily: 'sans-serif' }),
    matchMedia: () => ({ addEventListener() {} }),
    requestAnimationFrame: (draw: () => void) => draw(),
    addEventListener() {},
    devicePixelRatio: 1,
    innerHeight: 1_000,
  }
  runInContext(script, createContext(page))
  const panels = element('panels')
  const drawn = () => panels.children.flatMap(({ calls }) => calls)
  const canvasBelow = (heading: string) => {
    const at = panels.children.findIndex(({ children: [first] }) => first?.text === heading)
    return panels.children[at + 1]
  }
  /** Drawings of the chart below this heading. */
  const chart = (heading: string) => canvasBelow(heading)?.calls ?? []
  const forget = () => {
    for (const { calls } of panels.children) calls.length = 0
  }
  return {
    drawn: () =>
      drawn().flatMap(([name, text]) => (name === 'fillText' && String(text).includes(' → ') ? [text] : [])),
    fills: (heading: string): number => chart(heading).filter(([name]) => name === 'fillRect').length,
    texts: (heading: string): string[] =>
      chart(heading).flatMap(([name, text]) => (name === 'fillText' ? [String(text)] : [])),
    headings: () => panels.children.flatMap(({ children: [first] }) => first?.text ?? []),
    told: () => element('detail').textContent,
    /** Colours in which a chart has this text. */
    coloursOf: (heading: string, text: string) =>
      chart(heading).flatMap(([name, ...args]) =>
        name === 'fillText' && args[0] === text ? [args.at(-1)] : [],
      ),
    /** The visible part of time. */
    window: () => element('window').textContent,
    /** Clicks the button of a time in a table. */
    clickTime(ms: number) {
      const target = new FakeElement()
      target.dataset.time = `${ms}`
      element('root').listeners.get('click')?.({ target })
    },
    /** The heights at which the lanes of a chart are underlined. */
    underlined: (heading: string) =>
      chart(heading).flatMap(([name, , y, , height]) => (name === 'fillRect' && height === 3 ? [y] : [])),
    /** Moves the pointer to this height of a chart, after this part of the whole time. */
    point(heading: string, part: number, y: number) {
      const [left, right] = [92, 1_994]
      canvasBelow(heading)?.listeners.get('pointermove')?.({
        offsetX: left + part * (right - left),
        offsetY: y,
      })
    },
    press(key: string) {
      forget()
      panels.listeners.get('keydown')?.({ key, preventDefault() {} })
    },
    choose(name: string, value: string) {
      forget()
      element(`select[name=${name}]`).value = value
      element('controls').listeners.get('change')?.({})
    },
  }
}
