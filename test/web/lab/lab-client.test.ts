// The page's side of the worker: one request at a time, time that passes by frames, steps that are shown, and undo.
// The worker answers when the test says so.

import { beforeEach, describe, expect, it } from 'vitest'
import { labSchedule } from '../../../jepsen-lite/lab/index.ts'
import type { LabView } from '../../../jepsen-lite/lab/view.ts'
import { LabAnswers } from '../../../web/src/lab/lab-answers.ts'
import { cutOffLine, writeLine } from '../../../web/src/lab/line-texts.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { load } from '../page-modules.ts'

interface Value<T> {
  value: T
}
interface LabClient {
  readonly view: Value<LabView | undefined>
  readonly instant: Value<number>
  readonly end: Value<number>
  readonly link: Value<string>
  readonly isPlaying: Value<boolean>
  readonly isMoving: Value<boolean>
  readonly speed: Value<number>
  readonly realSpeed: Value<number | undefined>
  readonly refusal: Value<{ readonly of: string; readonly why: string } | undefined>
  readonly checked: Value<unknown>
  readonly laterLines: Value<readonly unknown[]>
  open(link: string): void
  openAt(link: string, ms: number): void
  play(): void
  pause(): void
  frame(at: number): void
  step(): void
  skip(): void
  goTo(ms: number): void
  goBack(ms: number): void
  act(...lines: string[]): void
  undo(): void
  check(): void
  show(part: string, isShown: boolean): void
  goToBreak(checked: unknown): void
  openFile(text: string): void
  save(then: (text: string, seed: number) => void): void
  readonly kept: Value<string | undefined>
}
const { LabClient } = await load<{
  readonly LabClient: new (port: object, isCalm?: () => boolean) => LabClient
}>('lab/lab-client.ts')

type Receiver = (event: { readonly data: LabAnswer }) => void

/** A client, and the worker at the other side of its port. */
class Sides {
  readonly client: LabClient
  /** Requests without an answer. */
  readonly requests: LabRequest[] = []
  /** Real time of the worker. It passes by `tickMs` each time that it is read. */
  #now = 0
  tickMs = 0
  #answers = new LabAnswers(() => (this.#now += this.tickMs))
  #receive: Receiver = () => {}
  /** The worker fails. */
  fail = (): void => {}

  constructor(isCalm = false) {
    const port = {
      postMessage: (request: LabRequest) => void this.requests.push(request),
      addEventListener: (type: 'message' | 'error', listener: Receiver) => {
        if (type === 'message') this.#receive = listener
        else this.fail = listener as () => void
      },
    }
    this.client = new LabClient(port, () => isCalm)
  }

  /** Answers the request that is in flight. */
  answer(): void {
    const request = this.requests.shift() ?? expect.fail('no request is in flight')
    this.#receive({ data: structuredClone(this.#answers.answer(request)) })
  }

  /** Answers until the page asks for nothing more. */
  settle(): void {
    while (this.requests.length > 0) this.answer()
  }

  get now(): number {
    return this.client.view.value?.now ?? expect.fail('there is no view')
  }
}

let sides: Sides
let client: LabClient
beforeEach(() => {
  sides = new Sides()
  client = sides.client
})

const opened = (link = ''): void => {
  client.open(link)
  sides.settle()
}

describe('a run that is opened', () => {
  it('without lines plays from shortly before the first election', () => {
    opened()
    expect(client.isPlaying.value).toBe(true)
    expect(client.link.value).toBe('seed=1')
    const first = Math.min(
      ...(client.view.value?.nodes ?? []).flatMap(({ election }) => election?.until ?? []),
    )
    expect(first - sides.now).toBeCloseTo(120)
    expect(client.view.value?.nodes.every(({ term }) => term <= 1)).toBe(true)
  })

  it('with lines stands shortly before the first, and has run beyond the last', () => {
    opened(`seed=7;3000:${writeLine(0, 'leader')};4000:${cutOffLine('leader', 1000)}`)
    expect(client.isPlaying.value).toBe(false)
    expect([sides.now, client.end.value, client.laterLines.value.length]).toEqual([2880, 6000, 2])
  })

  it('waits for the user who wants no motion', () => {
    sides = new Sides(true)
    client = sides.client
    opened()
    expect(client.isPlaying.value).toBe(false)
  })

  it('and refused takes with it what was requested for it meanwhile', () => {
    opened('seed=7')
    const { link, view } = { link: client.link.value, view: client.view.value }
    for (const request of [
      () => client.act(writeLine(0, 'leader')),
      () => client.goTo(9000),
      () => client.skip(),
      () => client.check(),
      () => client.undo(),
    ]) {
      client.open('seed=1;12:putt')
      request()
      sides.settle()
      expect([client.refusal.value?.of, client.checked.value]).toEqual(['link', undefined])
      expect([client.link.value, client.view.value]).toEqual([link, view])
    }
    client.act(writeLine(0, 'leader'))
    sides.settle()
    expect(client.link.value).toContain('put')
  })

  it('says what is wrong with its text', () => {
    opened('seed=1;12:putt')
    expect(client.refusal.value).toEqual({ of: 'link', why: expect.stringContaining('faults[0].kind') })
    expect(client.view.value).toBeUndefined()
    opened()
    expect(client.refusal.value).toBeUndefined()
  })
})

describe('time', () => {
  it('passes by frames and speed, with one request in flight', () => {
    opened()
    const begun = sides.now
    client.frame(1000)
    client.frame(1020)
    expect(sides.requests).toEqual([{ kind: 'run', ms: begun + 2, realMsMax: 24 }])
    client.frame(1040)
    client.frame(1060)
    expect(sides.requests).toHaveLength(1)
    sides.answer()
    expect(sides.now).toBe(begun + 2)
    client.speed.value = 10
    client.frame(1070)
    expect(sides.requests).toEqual([{ kind: 'run', ms: begun + 2 + 500, realMsMax: 24 }])
  })

  it('says how fast it really passes where the worker is too slow', () => {
    opened()
    client.speed.value = 100
    // Each slice of 50 ms takes a third of a frame's time.
    sides.tickMs = 8
    const begun = sides.now
    for (let at = 1000; at <= 2000; at += 20) {
      client.frame(at)
      if (sides.requests.length > 0) sides.answer()
    }
    const reached = sides.now - begun
    expect(reached).toBeGreaterThan(5000)
    expect(reached).toBeLessThan(10_000)
    expect(client.realSpeed.value).toBeGreaterThan(5)
    expect(client.realSpeed.value).toBeLessThan(10)
    client.speed.value = 5
    for (let at = 2000; at <= 4000; at += 20) {
      client.frame(at)
      sides.settle()
    }
    expect(client.realSpeed.value).toBeUndefined()
  })

  it('lets a worker that is too slow continue at once, until the speed is another', () => {
    opened()
    client.speed.value = 100
    sides.tickMs = 8
    const begun = sides.now
    client.frame(1000)
    client.frame(1020)
    const asked = [{ kind: 'run', ms: begun + 2000, realMsMax: 24 }]
    expect(sides.requests).toEqual(asked)
    sides.answer()
    expect(sides.now).toBeLessThan(begun + 2000)
    expect(sides.requests).toEqual(asked)
    client.speed.value = 5
    sides.answer()
    expect(sides.requests).toEqual([])
  })

  it('goes back first, when it shall go back and then play while a frame has no answer', () => {
    opened()
    client.speed.value = 100
    sides.tickMs = 8
    const begun = sides.now
    client.frame(1000)
    client.frame(1020)
    client.goBack(100)
    client.play()
    client.frame(1030)
    sides.answer()
    expect(sides.requests).toEqual([{ kind: 'run', ms: begun - 100 }])
  })

  it('does not make up for a frame that was very late', () => {
    opened()
    const begun = sides.now
    client.frame(1000)
    client.frame(61_000)
    expect(sides.requests).toEqual([{ kind: 'run', ms: begun + 10, realMsMax: 24 }])
  })

  it('that stood still for long is not made up for, each time that it passes again', () => {
    opened()
    client.speed.value = 100
    client.frame(1000)
    client.frame(1001)
    sides.settle()
    for (const rest of [10_000, 70_000, 4_000_000]) {
      client.pause()
      const begun = sides.now
      client.play()
      client.frame(rest)
      sides.settle()
      expect(sides.now).toBe(begun)
      client.frame(rest + 1)
      sides.settle()
      expect(sides.now).toBeCloseTo(begun + 100)
    }
  })

  it('stands still when it is paused, and at the end of all runs', () => {
    opened()
    client.pause()
    client.frame(1000)
    client.frame(1020)
    expect(sides.requests).toEqual([])
    expect(client.isMoving.value).toBe(false)
    opened('seed=1,nodes=1,spares=0')
    client.goTo(600_000)
    sides.settle()
    client.play()
    client.frame(2000)
    client.frame(2020)
    sides.settle()
    expect(client.isPlaying.value).toBe(false)
  })

  it('goes to the newest of the moments over which a person scrubs', () => {
    opened()
    for (const ms of [2000, 1900, 1800, 1700]) client.goTo(ms)
    expect(client.isPlaying.value).toBe(false)
    sides.answer()
    expect(sides.requests).toEqual([{ kind: 'run', ms: 1700 }])
    sides.answer()
    expect([sides.now, client.end.value]).toEqual([1700, 2000])
    client.goBack(5000)
    sides.settle()
    expect(sides.now).toBe(0)
  })
})

it('the next decision is shown at once', () => {
  opened()
  client.skip()
  client.skip()
  sides.settle()
  expect(client.isPlaying.value).toBe(false)
  expect(client.instant.value).toBe(sides.now)
  expect(client.view.value?.notes.at(-1)).toMatchObject({ at: sides.now, isMinor: false })
})

describe('a step', () => {
  it('is shown: the view of before moves to the moment of the event', () => {
    opened()
    const before = client.view.value
    client.step()
    sides.settle()
    expect(client.view.value).toBe(before)
    expect(client.isMoving.value).toBe(true)
    client.frame(1000)
    client.frame(1120)
    const halfway = client.instant.value
    client.frame(1240)
    expect(client.isMoving.value).toBe(false)
    expect(client.view.value).not.toBe(before)
    expect(client.instant.value).toBe(sides.now)
    expect(halfway).toBeCloseTo(((before?.now ?? 0) + sides.now) / 2)
  })

  it('ends at once when something else is asked', () => {
    opened()
    const begun = sides.now
    client.step()
    sides.settle()
    client.step()
    expect(sides.now).toBeGreaterThan(begun)
  })

  it('is not shown after what was asked before its answer', () => {
    for (const ask of [() => client.act(writeLine(0, 'leader')), () => client.open('seed=8,at=100')]) {
      opened('seed=7,at=4060')
      client.step()
      ask()
      sides.settle()
      const after = [client.link.value, sides.now]
      for (const at of [0, 1000]) client.frame(at)
      expect([client.link.value, sides.now, client.isMoving.value]).toEqual([...after, false])
    }
  })

  it('is not moved for a user who wants no motion', () => {
    sides = new Sides(true)
    client = sides.client
    opened()
    const begun = sides.now
    client.step()
    sides.settle()
    expect(sides.now).toBeGreaterThan(begun)
    expect(client.isMoving.value).toBe(false)
  })
})

describe('an action', () => {
  it('shows its effect at once, also while time stands still', () => {
    opened('seed=7')
    client.goTo(4000)
    client.act(cutOffLine('leader', 5000))
    sides.settle()
    expect(client.link.value).toContain('4001:isolate')
    expect(client.view.value?.cuts).toHaveLength(12)
  })

  it('forgets what came later, and is undone', () => {
    opened('seed=7')
    client.goTo(4000)
    client.act(writeLine(0, 'leader'))
    client.goTo(5000)
    client.act(writeLine(1, 'leader'))
    client.goTo(4500)
    sides.settle()
    expect(client.laterLines.value).toHaveLength(1)
    client.act(cutOffLine('leader', 5000))
    sides.settle()
    expect(client.laterLines.value).toEqual([])
    expect(client.link.value.match(/:(put|isolate)/g)).toEqual([':put', ':isolate'])
    client.undo()
    sides.settle()
    expect(client.link.value.match(/:(put|isolate)/g)).toEqual([':put'])
    expect([sides.now, client.view.value?.cuts]).toEqual([4500, []])
  })

  it('that is no line of a schedule is refused', () => {
    opened()
    client.act('crash,target=nobody')
    sides.settle()
    expect(client.refusal.value?.of).toBe('line')
  })
})

it('says that the worker has failed, then and whenever something is asked', () => {
  client.open('')
  client.goTo(400)
  sides.fail()
  const stopped = { of: 'run', why: expect.stringContaining('load it again') }
  expect([client.refusal.value, client.isPlaying.value]).toEqual([stopped, false])
  for (const ask of [() => client.open('seed=8'), () => client.act(writeLine(0, 'leader'))]) {
    ask()
    expect(client.refusal.value).toEqual(stopped)
  }
  expect(sides.requests).toEqual([{ kind: 'open', link: '' }])
})

it('checks the run', () => {
  opened('seed=7')
  client.goTo(1500)
  client.check()
  expect(client.checked.value).toBe('in progress')
  sides.settle()
  expect(client.checked.value).toMatchObject({
    kind: 'checked',
    violation: undefined,
    trace: expect.any(String),
  })
})

it('does not show the check of a run that was left, and of one that has changed', () => {
  opened('seed=7,at=1500')
  for (const leave of [
    () => client.open('seed=8,at=100'),
    () => client.openAt('seed=9', 100),
    () => {
      client.checked.value = undefined
    },
  ]) {
    client.check()
    leave()
    sides.settle()
    expect(client.checked.value).toBeUndefined()
  }
  client.check()
  client.checked.value = undefined
  client.act('pause,target=0,ms=100')
  client.check()
  sides.answer()
  expect(client.checked.value).toBe('in progress')
  sides.settle()
  expect(client.checked.value).toMatchObject({ link: expect.stringContaining('pause') })
})

describe('a run that breaks a rule', () => {
  /** Nobody is ever elected, and that is a violation once the faults have ended. */
  const LEADERLESS = 'seed=3,nodes=2,spares=0,electionMinMs=800,electionMaxMs=1500,delayMs=3000'

  it('is shown from the step where it breaks', () => {
    opened(`${LEADERLESS},ms=1000,at=500`)
    client.check()
    sides.settle()
    const { checked } = client
    expect(checked.value).toMatchObject({ violation: expect.stringMatching(/^LIVE-1/) })
    client.goToBreak(checked.value)
    sides.settle()
    expect(checked.value).toBeUndefined()
    expect(client.view.value).toMatchObject({ violation: undefined, isOver: false })
    client.goTo(sides.now + 10_000)
    sides.settle()
    expect(client.view.value?.violation).toMatch(/^LIVE-1/)
  })

  it('later than its present moment is opened with its end', () => {
    opened(`${LEADERLESS},at=500`)
    client.check()
    sides.settle()
    client.goToBreak(client.checked.value)
    sides.settle()
    expect(client.link.value).toContain(',ms=500')
    expect(sides.now).toBeGreaterThan(500)
  })
})

describe('a file', () => {
  it('is saved, and opened at the same moment', () => {
    opened(`seed=7;3000:${writeLine(0, 'leader')}`)
    client.goTo(3040.5)
    let file = ''
    client.save((text, seed) => {
      file = `${seed} ${text}`
    })
    sides.settle()
    const [, seed, text = ''] = /^(\d+) (.*)$/s.exec(file) ?? []
    expect(seed).toBe('7')
    const view = client.view.value
    opened('seed=8')
    client.openFile(text)
    sides.settle()
    expect(client.view.value).toEqual(view)
    expect(client.isPlaying.value).toBe(false)
  })

  it('says for which violation it was kept', () => {
    client.openFile(JSON.stringify({ detail: 'STOP-1: n2 stopped itself', schedule: labSchedule(7) }))
    sides.settle()
    expect(client.kept.value).toBe('STOP-1: n2 stopped itself')
    opened('seed=8')
    expect(client.kept.value).toBeUndefined()
  })

  it('without a run is refused, and the present run stays', () => {
    opened('seed=7')
    client.openFile('{"ops":[]}')
    sides.settle()
    expect(client.refusal.value).toEqual({ of: 'file', why: expect.stringContaining('version: expected 2') })
    expect(client.link.value).toBe('seed=7')
  })
})

it('keeps the parts of a view that did not change', () => {
  opened()
  const before = client.view.value
  client.frame(1000)
  client.frame(1001)
  sides.settle()
  const after = client.view.value
  expect(after).not.toBe(before)
  expect(after?.nodes).toBe(before?.nodes)
})

describe('a part of views', () => {
  it('is requested while it is shown, at the same moment', () => {
    client.open('seed=7')
    sides.settle()
    client.goTo(3000)
    client.show('stores', true)
    client.show('stores', true)
    sides.settle()
    expect([sides.now, client.view.value?.stores?.keys]).toEqual([3000, []])
    client.goTo(3100)
    sides.settle()
    expect([sides.now, client.view.value?.stores?.keys]).toEqual([3100, []])
    client.show('stores', false)
    expect(sides.requests).toEqual([{ kind: 'add', lines: [] }])
    sides.settle()
    expect([sides.now, client.view.value?.stores]).toEqual([3100, undefined])
  })
})
