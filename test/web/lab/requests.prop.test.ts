// Whatever a person asks for, and whenever the worker answers: in the end the page shows what the worker has, and a
// lesson is found again where its step begins.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatLink } from '../../../jepsen-lite/lab/index.ts'
import { type Lesson, parseLesson } from '../../../jepsen-lite/lab/lessons/index.ts'
import { LabAnswers } from '../../../web/src/lab/lab-answers.ts'
import { cutOffLine, deafLine, writeLine } from '../../../web/src/lab/line-texts.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { runs } from '../../runs.ts'
import { load } from '../page-modules.ts'

interface Value<T> {
  value: T
}
interface LabClient {
  readonly view: Value<{ readonly now: number } | undefined>
  readonly instant: Value<number>
  readonly end: Value<number>
  readonly link: Value<string>
  open(link: string): void
  openFile(text: string): void
  togglePlay(): void
  pause(): void
  frame(at: number): void
  step(): void
  skip(): void
  goTo(ms: number): void
  act(...lines: string[]): void
  undo(): void
  check(): void
  show(part: string, isShown: boolean): void
}
interface LessonPlayer {
  readonly open: Value<object | undefined>
  readonly phase: Value<string>
  readonly isAway: Value<boolean>
  begin(name: string | undefined, lesson: Lesson, at?: number): void
  goTo(at: number): void
  next(): void
  again(): void
  free(): void
  close(): void
  predict(choice: number): void
  solve(): void
}
const { LabClient } = await load<{
  readonly LabClient: new (port: object, isCalm: () => boolean) => LabClient
}>('lab/lab-client.ts')
const { LessonPlayer } = await load<{
  readonly LessonPlayer: new (client: LabClient, options: object) => LessonPlayer
}>('lab/lesson/lesson-player.ts')

const see = (from: number, until: number, run?: string) => ({ kind: 'see', from, until, run, text: 'Look.' })
const lesson = parseLesson(
  JSON.stringify({
    ...{ title: 'Leaders', summary: 'Who leads.', minutes: 1 },
    run: `seed=1;2000:${cutOffLine('n1', 4000)}`,
    steps: [
      see(0, 1200),
      {
        kind: 'predict',
        question: 'Who leads?',
        until: 3500,
        choices: ['n1', 'n4'].map((text) => ({ text, when: [`leader = ${text}`], reply: 'So.' })),
      },
      {
        kind: 'break',
        from: 1900,
        until: 6000,
        task: 'Let another node lead.',
        goal: ['leaders >= 1', 'leader != n1'],
        solution: [`1901:${deafLine('n1', 'out', 3000)}`],
        after: 'It leads.',
      },
      see(500, 900, 'seed=2'),
    ],
  }),
)

type Action = (client: LabClient, player: LessonPlayer) => void
const LINKS = ['', 'seed=3,at=900', 'seed=1', 'seed=1,nodes=3', 'no run']
const ACTIONS: Readonly<Record<string, (x: number) => Action>> = {
  step: () => (client) => client.step(),
  skip: () => (client) => client.skip(),
  go: (x) => (client) => client.goTo(500 * x),
  write: () => (client) => client.act(writeLine(0, 'leader')),
  undo: () => (client) => client.undo(),
  play: () => (client) => client.togglePlay(),
  open: (x) => (client) => client.open(LINKS[x % LINKS.length] ?? ''),
  file: (x) => (client) => client.openFile(LINKS[x % LINKS.length] ?? ''),
  check: () => (client) => client.check(),
  show: (x) => (client) => client.show('stores', x % 2 === 0),
  begin: (x) => (_, player) => player.begin('leaders', lesson, x % 4),
  'go to step': (x) => (_, player) => player.goTo(x % 4),
  next: () => (_, player) => player.next(),
  again: () => (_, player) => player.again(),
  free: () => (_, player) => player.free(),
  close: () => (_, player) => player.close(),
  predict: (x) => (_, player) => player.predict(x % 2),
  solve: () => (_, player) => player.solve(),
}

const actions = fc.array(
  fc.record({
    name: fc.constantFrom(...Object.keys(ACTIONS)),
    x: fc.nat(9),
    answers: fc.nat(3),
    frames: fc.nat(1),
  }),
  { minLength: 2, maxLength: 14 },
)

it('the page shows what the worker has, and finds a lesson again', () => {
  fc.assert(
    fc.property(actions, fc.boolean(), (all, isCalm) => {
      const requests: LabRequest[] = []
      const worker = new LabAnswers(() => 0)
      let receive: (event: { readonly data: LabAnswer }) => void = () => {}
      const port = {
        postMessage: (request: LabRequest) => void requests.push(structuredClone(request)),
        addEventListener: (type: string, listener: typeof receive) => {
          if (type === 'message') receive = listener
        },
      }
      const client = new LabClient(port, () => isCalm)
      const player = new LessonPlayer(client, { isCalm: () => isCalm })
      const answer = (max: number): void => {
        for (let count = 0; count < max; count++) {
          const request = requests.shift()
          if (request === undefined) return
          receive({ data: structuredClone(worker.answer(request)) })
        }
      }
      let clock = 0
      const frame = (): void => {
        clock += 100
        client.frame(clock)
      }
      const settle = (): void => {
        answer(Number.POSITIVE_INFINITY)
        client.pause()
        for (let count = 0; count < 4; count++) frame()
        answer(Number.POSITIVE_INFINITY)
      }
      client.open('')
      settle()
      for (const { name, x, answers, frames } of all) {
        ACTIONS[name]?.(x)(client, player)
        answer(answers)
        if (frames > 0) frame()
      }
      settle()
      const { now, end, schedule } = worker.lab
      expect([client.view.value?.now, client.instant.value, client.end.value, client.link.value]).toEqual([
        ...[now, now, end],
        formatLink(schedule),
      ])
      if (player.open.value === undefined) return
      player.again()
      settle()
      expect([player.isAway.value, player.phase.value]).toEqual([
        false,
        expect.not.stringMatching('arriving'),
      ])
    }),
    { numRuns: runs(400) },
  )
})
