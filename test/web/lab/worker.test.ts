// The worker of the lab: answers in the order of the requests, each with the core that its run needs, and rest after
// the last.

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { isWrongRaftLoaded } from '../../../jepsen-lite/sim/world/observed-raft.ts'
import { WRONG_RULE_NAMES } from '../../../jepsen-lite/sim/wrong-rules.ts'
import { writeLine } from '../../../web/src/lab/line-texts.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { loaderOfPage } from '../page-modules.ts'

let answers: LabAnswer[]
let receive: (event: { readonly data: LabRequest }) => void

beforeEach(async () => {
  vi.useFakeTimers()
  answers = []
  vi.stubGlobal('Buffer', Buffer)
  vi.stubGlobal('addEventListener', (_: string, listener: typeof receive) => {
    receive = listener
  })
  vi.stubGlobal('postMessage', (answer: LabAnswer) => answers.push(structuredClone(answer)))
  await loaderOfPage()('lab/worker.ts')
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

/** Sends the requests at once. Returns the answers, when the worker has nothing left to do. */
async function answersTo(...requests: readonly LabRequest[]): Promise<readonly LabAnswer[]> {
  answers = []
  for (const data of requests) receive({ data })
  await vi.waitUntil(() => answers.length === requests.length)
  vi.runAllTimers()
  return answers
}

it('answers each request once, in their order, and then rests', async () => {
  const run = `seed=7;3000:${writeLine(0, 'leader')}`
  for (let time = 0; time < 3; time++) {
    const all = await answersTo(
      { kind: 'open', link: run },
      { kind: 'run', ms: 4000 },
      { kind: 'save' },
      { kind: 'add', lines: ['nonsense'] },
      { kind: 'run', ms: 2000 },
      { kind: 'check' },
    )
    expect(all.map(({ kind }) => kind)).toEqual(['view', 'view', 'saved', 'refused', 'view', 'checked'])
    expect([all[1], all[4]]).toMatchObject([
      { end: 4000, link: run },
      { end: 4000, link: run },
    ])
    expect(vi.getTimerCount()).toBe(0)
  }
})

it('loads the wrong rule of a run that is opened, and of the run of a question', async () => {
  const questionOf = (run: string): LabRequest => ({
    kind: 'judge',
    question: {
      ...{ kind: 'predict', question: [], after: [], source: undefined, show: [], speed: undefined },
      ...{ run, from: 0, until: 100, choices: [] },
    },
  })
  const [first, second] = WRONG_RULE_NAMES.filter((rule) => !isWrongRaftLoaded(rule)).map(
    (rule) => `seed=1,rule=${rule}`,
  )
  const [one = 'seed=1', other = 'seed=1'] = [first, second]
  const all = await answersTo(questionOf(one), { kind: 'open', link: other })
  expect(all.map(({ kind }) => kind)).toEqual(['judged', 'view'])
})
