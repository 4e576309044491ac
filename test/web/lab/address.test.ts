// The address of the page: the run, and the moment at which it is shown while time stands still.

import { signal } from '@preact/signals'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LabAnswers } from '../../../web/src/lab/lab-answers.ts'
import { writeLine } from '../../../web/src/lab/line-texts.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { load } from '../page-modules.ts'

interface LabClient {
  readonly view: { readonly value: { readonly now: number } | undefined }
  readonly isPlaying: { readonly value: boolean }
  readonly refusal: { readonly value: { readonly why: string } | undefined }
  readonly speed: { value: number }
  goTo(ms: number): void
  play(): void
  frame(at: number): void
  pause(): void
  act(line: string): void
}
const { LabClient } = await load<{ readonly LabClient: new (port: object) => LabClient }>('lab/lab-client.ts')
const { followAddress, presentAddress } = await load<{
  readonly followAddress: (client: LabClient, onOpen: () => void, lesson: object) => () => void
  readonly presentAddress: (client: LabClient) => string
}>('lab/address.ts')

const PAGE = 'http://127.0.0.1:7360/'
const RUN = `seed=7;3000:${writeLine(0, 'leader')}`

let client: LabClient
let answers: LabAnswers
let hash: string
/** Fragments that the page wrote. */
let written: string[]
let opened = 0
/** The address of a lesson that is open. */
const lesson = signal<string | undefined>(undefined)
let changed: () => void
let end: () => void

/** Opens the page at this address. Its worker answers at once. */
function openPage(fragment: string): void {
  hash = fragment
  answers = new LabAnswers(() => 0)
  let receive: (event: { readonly data: LabAnswer }) => void = () => {}
  client = new LabClient({
    postMessage: (request: LabRequest) =>
      queueMicrotask(() => {
        const answer = answers.answer(request)
        receive({ data: structuredClone(answer) })
      }),
    addEventListener: (type: string, listener: typeof receive) => {
      if (type === 'message') receive = listener
    },
  })
  end = followAddress(client, () => opened++, { open: () => false, address: lesson })
}

/** Somebody edits the address. */
function edit(fragment: string): Promise<void> {
  hash = fragment
  changed()
  return settled()
}

/** Until the page has its answers, and the address is up to date. */
const settled = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(300))

beforeEach(() => {
  vi.useFakeTimers()
  written = []
  opened = 0
  lesson.value = undefined
  vi.stubGlobal('location', {
    get hash() {
      return hash
    },
    get href() {
      return PAGE + hash
    },
  })
  vi.stubGlobal('history', {
    replaceState: (_: unknown, __: string, fragment: string) => {
      hash = fragment
      written.push(fragment)
    },
  })
  vi.stubGlobal('addEventListener', (_: string, listener: () => void) => {
    changed = listener
  })
  vi.stubGlobal('removeEventListener', () => {})
})
afterEach(() => {
  end()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('an address with a moment', () => {
  it('opens the run there, paused', async () => {
    openPage(`#seed=7,at=3040.5;3000:${writeLine(0, 'leader')}`)
    await settled()
    expect([client.view.value?.now, client.isPlaying.value, answers.lab.end]).toEqual([3040.5, false, 5000])
  })

  it('opens a run without lines there', async () => {
    openPage('#seed=7,at=1500')
    await settled()
    expect([client.view.value?.now, client.isPlaying.value]).toEqual([1500, false])
  })

  it('that is no time is refused', async () => {
    openPage('#seed=7,at=soon')
    await settled()
    expect(client.refusal.value?.why).toContain('at: expected a time')
    expect(written).toEqual([])
  })
})

it('an address with a percent sign that encodes nothing is refused as any other', async () => {
  openPage('#seed=%')
  await settled()
  expect(client.refusal.value?.why).toContain('seed')
})

describe('the address', () => {
  it('has the moment once time has stood still for a while', async () => {
    openPage(`#${RUN}`)
    await settled()
    written = []
    for (const ms of [2900, 2950, 3010, 3040]) {
      client.goTo(ms)
      await vi.advanceTimersByTimeAsync(50)
    }
    expect(written).toEqual([])
    await settled()
    expect(written).toEqual([`#seed=7,at=3040;3000:${writeLine(0, 'leader')}`])
  })

  it('has no moment while time passes', async () => {
    openPage(`#${RUN}`)
    await settled()
    client.play()
    await settled()
    written = []
    for (let at = 1000; at < 2000; at += 20) {
      client.frame(at)
      await vi.advanceTimersByTimeAsync(20)
    }
    expect(hash).toBe(`#${RUN}`)
    expect(written).toEqual([])
    expect(presentAddress(client)).toContain('#seed=7,at=2978;3000:put')
  })

  it('has an action at once', async () => {
    openPage('#seed=7,at=3999')
    await settled()
    client.act(writeLine(0, 'leader'))
    await vi.advanceTimersByTimeAsync(1)
    expect(hash).toBe(`#seed=7;4000:${writeLine(0, 'leader')}`)
    await settled()
    expect(hash).toBe(`#seed=7,at=4000;4000:${writeLine(0, 'leader')}`)
  })

  it('with another moment goes there in the same run', async () => {
    openPage(`#${RUN}`)
    await settled()
    await edit(`#seed=7,at=3500;3000:${writeLine(0, 'leader')}`)
    expect([client.view.value?.now, opened]).toEqual([3500, 1])
    await edit('#seed=8')
    expect(opened).toBe(2)
  })
})

it('the step of a lesson has its address, whenever it begins and whatever the run does', async () => {
  openPage(`#${RUN}`)
  await settled()
  for (const waits of [0, 100, 299, 1000])
    for (const step of ['lesson=lock,step=1', 'lesson=lock,step=2']) {
      lesson.value = undefined
      client.goTo(3000 + waits)
      await vi.advanceTimersByTimeAsync(waits)
      lesson.value = step
      await vi.advanceTimersByTimeAsync(100)
      client.act(writeLine(1, 'leader'))
      await settled()
      expect([waits, hash]).toEqual([waits, `#${step}`])
    }
  lesson.value = undefined
  await settled()
  expect(hash).toMatch(/^#seed=7,at=\d+;3000:put/)
})

it('Share has the moment, and whoever opens it sees the same', async () => {
  openPage(`#${RUN}`)
  await settled()
  client.goTo(3000)
  await settled()
  const { lab } = answers
  lab.step()
  const view = lab.view()
  client.goTo(lab.now)
  await settled()
  const address = presentAddress(client)
  end()
  openPage(address.slice(PAGE.length))
  await settled()
  expect(lab.view()).toEqual({ ...view, now: lab.now })
  expect(lab.now - view.now).toBeLessThanOrEqual(0.001)
  expect(presentAddress(client)).toBe(address)
})
