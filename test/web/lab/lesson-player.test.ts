// The player of lessons: where the run stands in each step, what a prediction shows and when, and the goal of a task.
// The worker answers when the test says so.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Lesson, parseLesson } from '../../../jepsen-lite/lab/lessons/index.ts'
import { LabAnswers } from '../../../web/src/lab/lab-answers.ts'
import { cutOffLine, deafLine } from '../../../web/src/lab/line-texts.ts'
import type { LabAnswer, LabRequest } from '../../../web/src/lab/worker-messages.ts'
import { load } from '../page-modules.ts'

interface Value<T> {
  value: T
}
interface LabClient {
  readonly view: Value<{ readonly now: number } | undefined>
  readonly link: Value<string>
  readonly isPlaying: Value<boolean>
  readonly speed: Value<number>
  open(link: string): void
  play(): void
  goTo(ms: number): void
  act(...lines: string[]): void
  frame(at: number): void
  readLesson(text: string, then: (lesson: Lesson | { readonly refusal: string }) => void): void
}
interface LessonPlayer {
  readonly at: Value<number>
  readonly phase: Value<string>
  readonly predicted: Value<number | undefined>
  readonly right: Value<readonly number[] | undefined>
  readonly isAway: Value<boolean>
  readonly lessonRun: Value<string | undefined>
  readonly isEnd: Value<boolean>
  readonly isHintShown: Value<boolean>
  readonly isSolved: Value<boolean>
  readonly canContinue: Value<boolean>
  readonly address: Value<string | undefined>
  readonly reached: Value<readonly boolean[]>
  readonly isLate: Value<boolean>
  begin(name: string | undefined, lesson: Lesson, at?: number): void
  goTo(at: number): void
  next(): void
  back(): void
  again(): void
  free(): void
  close(): void
  predict(choice: number): void
  solve(): void
}
const { LabClient } = await load<{ readonly LabClient: new (port: object) => LabClient }>('lab/lab-client.ts')
const { LessonPlayer } = await load<{
  readonly LessonPlayer: new (client: LabClient, options: object) => LessonPlayer
}>('lab/lesson/lesson-player.ts')

// n1 leads term 2 from 1161 ms on, and n4 leads term 3 from 3408 ms on.
const TEXT = JSON.stringify({
  ...{ title: 'Leaders', summary: 'Who leads.', minutes: 1 },
  run: `seed=1;2000:${cutOffLine('n1', 4000)}`,
  steps: [
    { kind: 'see', from: 300, until: 1200, speed: 0.7, text: 'Look.' },
    {
      kind: 'predict',
      question: 'Who leads?',
      until: 3500,
      choices: [
        { text: 'n1', when: ['leader = n1'], reply: 'No.' },
        { text: 'n4', when: ['leader = n4'], reply: 'Yes.' },
      ],
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
  ],
})
const lesson = parseLesson(TEXT)

let client: LabClient
let player: LessonPlayer
let done: unknown[]
let clock: number
let receive: (event: { readonly data: LabAnswer }) => void
let requests: LabRequest[]
let answers: LabAnswers

function start(isCalm = false): void {
  ;[requests, done, clock, answers] = [[], [], 0, new LabAnswers(() => 0)]
  const port = {
    postMessage: (request: LabRequest) => void requests.push(structuredClone(request)),
    addEventListener: (type: string, listener: typeof receive) => {
      if (type === 'message') receive = listener
    },
  }
  client = new LabClient(port)
  player = new LessonPlayer(client, {
    isCalm: () => isCalm,
    onDone: (...step: unknown[]) => done.push(step),
  })
}

/** Answers until the page asks for nothing more. */
function settle(): void {
  for (let request = requests.shift(); request !== undefined; request = requests.shift()) {
    receive({ data: structuredClone(answers.answer(request)) })
  }
}

/** Draws frames until the run stands still. */
function playOn(): void {
  settle()
  while (client.isPlaying.value) {
    clock += 100
    client.frame(clock)
    settle()
  }
}

function begin(at = 0): void {
  player.begin('leaders', lesson, at)
  settle()
}

const now = (): number => client.view.value?.now ?? expect.fail('there is no view')

beforeEach(() => start())

describe('a step to see', () => {
  it('plays from its beginning to its end, at its speed', () => {
    begin()
    expect([now(), player.phase.value, client.isPlaying.value, client.speed.value]).toEqual([
      300,
      'running',
      true,
      0.7,
    ])
    playOn()
    expect([now(), player.phase.value, done]).toEqual([1200, 'done', [['leaders', 0, false]]])
  })

  it('without a speed lasts as long as the page for teachers says', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/learn/writing-a-lesson.md'), 'utf8')
    const [, seconds] = /without it, the step lasts (\w+) seconds/.exec(page) ?? []
    const [step] = lesson.steps
    if (step?.kind !== 'see') expect.fail('no step to see')
    player.begin(undefined, { ...lesson, steps: [{ ...step, speed: undefined }] })
    playOn()
    expect([now(), player.phase.value]).toEqual([1200, 'done'])
    const lasted = (step.until - step.from) / client.speed.value / 1000
    expect(['six', 'seven', 'eight', 'nine', 'ten'].indexOf(seconds ?? '') + 6).toBeCloseTo(lasted)
  })

  it('is skipped to its end, and then the next one begins', () => {
    begin()
    player.next()
    settle()
    expect([now(), player.at.value, player.phase.value]).toEqual([1200, 0, 'done'])
    player.next()
    settle()
    expect([now(), player.at.value, player.phase.value]).toEqual([1200, 1, 'asked'])
  })

  it('is shown at its end to a user who wants no motion', () => {
    start(true)
    begin()
    expect([now(), player.phase.value, client.isPlaying.value]).toEqual([1200, 'done', false])
    const [step] = lesson.steps
    if (step?.kind !== 'see') expect.fail('no step to see')
    player.begin(undefined, { ...lesson, steps: [{ ...step, run: 'seed=2', from: 0 }] })
    settle()
    expect([now(), player.phase.value]).toEqual([1200, 'done'])
  })
})

describe('a question', () => {
  beforeEach(() => begin(1))

  it('waits for a prediction', () => {
    expect([now(), player.phase.value, player.canContinue.value]).toEqual([1200, 'asked', false])
    expect(client.isPlaying.value).toBe(false)
  })

  it('is answered by the run, not before the run has got there', () => {
    player.predict(0)
    expect(player.phase.value).toBe('running')
    playOn()
    expect([now(), player.phase.value, player.predicted.value, player.right.value]).toEqual([
      3500,
      'done',
      0,
      [1],
    ])
    expect(done).toEqual([['leaders', 1, false]])
  })

  it('takes one prediction, and keeps it until it is asked again', () => {
    player.predict(0)
    player.predict(1)
    playOn()
    player.back()
    settle()
    player.goTo(1)
    settle()
    expect([now(), player.phase.value, player.predicted.value]).toEqual([3500, 'done', 0])
    player.again()
    settle()
    expect([now(), player.phase.value, player.predicted.value]).toEqual([1200, 'asked', undefined])
  })
})

describe('a task', () => {
  beforeEach(() => begin(2))

  it('begins without what comes later in the run of the lesson', () => {
    expect([now(), player.phase.value, client.link.value]).toEqual([1900, 'asked', 'seed=1'])
    expect([player.reached.value, player.canContinue.value]).toEqual([[true, false], false])
  })

  it('is done when its goal holds, and an action does not start the time', () => {
    client.act(deafLine('n1', 'out', 3000))
    settle()
    expect([now(), player.phase.value, client.isPlaying.value]).toEqual([1901, 'asked', false])
    client.play()
    playOn()
    expect(player.phase.value).toBe('done')
    expect(now()).toBeGreaterThan(3408)
    expect(now()).toBeLessThan(3700)
    expect([player.isAway.value, player.isEnd.value, done]).toEqual([false, true, [['leaders', 2, true]]])
  })

  it('is not done after its time, until it is begun again', () => {
    begin(2)
    expect(player.isLate.value).toBe(false)
    client.goTo(6001)
    settle()
    client.act(deafLine('n1', 'out', 3000))
    client.goTo(11_000)
    settle()
    expect([player.reached.value, player.phase.value, player.isLate.value]).toEqual([
      [true, true],
      'asked',
      true,
    ])
    player.again()
    settle()
    expect([now(), player.phase.value, player.isLate.value]).toEqual([1900, 'asked', false])
  })

  it('is not done before it begins, where its run had no leader', () => {
    const given = JSON.parse(TEXT)
    const task = { ...given.steps[2], goal: ['leaders = 0'] }
    const steps = [{ ...task, solution: [`1901:${cutOffLine('n1', 4000)}`] }]
    player.begin('leaders', parseLesson(JSON.stringify({ ...given, steps })), 0)
    settle()
    client.goTo(300)
    settle()
    expect([player.phase.value, done]).toEqual(['asked', []])
  })

  it('that is done stays done while time passes, whatever holds then', () => {
    client.act(deafLine('n1', 'out', 3000))
    client.play()
    playOn()
    for (const ms of [3408, 1900, 4000, 9000]) {
      client.goTo(ms)
      settle()
      expect([ms, player.phase.value, player.reached.value]).toEqual([ms, 'done', [true, true]])
    }
  })

  it('shows its solution', () => {
    player.solve()
    playOn()
    expect([player.phase.value, player.reached.value]).toEqual(['done', [true, true]])
  })

  it('has lines of its own, until the user leaves it', () => {
    expect(player.lessonRun.value).toBe('seed=1')
    player.solve()
    settle()
    expect(player.lessonRun.value).toBe(client.link.value)
    player.free()
    expect(player.lessonRun.value).toBeUndefined()
  })
})

describe('the run of a lesson', () => {
  it('is left by an action, and found again', () => {
    begin(1)
    expect([player.isAway.value, player.address.value]).toEqual([false, 'lesson=leaders,step=2'])
    client.act(cutOffLine('n2', 500))
    settle()
    expect([player.isAway.value, player.address.value]).toEqual([true, undefined])
    player.again()
    settle()
    expect([now(), player.phase.value, player.isAway.value]).toEqual([1200, 'asked', false])
  })

  it('is found again while another request has no answer', () => {
    for (const ask of [
      () => client.act(cutOffLine('n2', 500)),
      () => client.open('seed=9'),
      () => client.goTo(500),
      () => player.goTo(2),
    ]) {
      begin(1)
      ask()
      player.goTo(1)
      settle()
      expect([now(), player.phase.value, player.isAway.value]).toEqual([1200, 'asked', false])
    }
  })

  it('answers a question only if nobody has changed it', () => {
    begin(1)
    player.predict(0)
    client.act(cutOffLine('n2', 500))
    client.goTo(3490)
    settle()
    client.play()
    for (const at of [1000, 1100]) {
      client.frame(at)
      settle()
    }
    expect(now()).toBeGreaterThan(3500)
    expect([player.phase.value, player.isAway.value, done]).toEqual(['running', true, []])
  })

  it('stays when the user leaves the lesson', () => {
    begin(1)
    player.predict(0)
    player.free()
    client.goTo(4000)
    settle()
    expect([now(), player.isAway.value, done]).toEqual([4000, true, []])
    player.close()
    expect([client.link.value, player.address.value]).toEqual([lesson.steps[0]?.run, undefined])
  })
})

describe('a lesson that is opened', () => {
  const other = parseLesson(TEXT.replace('"Leaders"', '"Other leaders"'))
  const state = () => [
    ...[now(), client.link.value, client.isPlaying.value, player.at.value, player.phase.value],
    ...[player.predicted.value, player.right.value, player.isAway.value, player.isHintShown.value],
    ...[player.isSolved.value, player.canContinue.value, player.reached.value],
    ...[player.lessonRun.value, player.address.value],
  ]
  /** Acts of a user in the lesson before. */
  const acts: readonly (() => void)[] = [
    () => player.predict(0),
    () => player.solve(),
    () => {
      player.isHintShown.value = true
    },
    () => player.free(),
    () => client.act(cutOffLine('n2', 500)),
    () => player.close(),
  ]

  it.each([0, 1, 2])('at step %i after another one is as if it were the first', (at) => {
    player.begin('other', other, at)
    settle()
    const fresh = state()
    start()
    begin(at)
    for (const [number, act] of acts.entries()) {
      act()
      settle()
      player.begin('other', other, at)
      settle()
      expect([number, state()]).toEqual([number, fresh])
      begin(at)
    }
  })

  it('and left while it plays leaves a run without an end', () => {
    for (const leave of [() => player.close(), () => player.free()])
      for (const [at, play] of [() => {}, () => player.predict(0), () => player.solve()].entries()) {
        start()
        begin(at)
        play()
        settle()
        expect([at, client.isPlaying.value]).toEqual([at, true])
        leave()
        client.speed.value = 100
        client.frame(1000)
        client.frame(1090)
        expect(requests).toMatchObject([{ kind: 'run', ms: now() + 9000 }])
      }
  })

  it('is left for the run of another cluster, and does not take it for its own', () => {
    for (let at = 0; at < 3; at++)
      for (const open of ['seed=1', 'seed=3,at=4000', 'seed=1,nodes=3,at=4000']) {
        start()
        begin(at)
        client.open(open)
        settle()
        client.speed.value = 100
        client.play()
        for (const frame of [1000, 1100]) {
          client.frame(frame)
          settle()
        }
        const isOwn = at === 2 && open === 'seed=1'
        expect([at, open, player.isAway.value, done]).toEqual([at, open, !isOwn, []])
        expect(player.address.value === undefined).toBe(!isOwn)
        player.again()
        settle()
        expect([player.isAway.value, client.link.value]).toEqual([false, player.lessonRun.value])
      }
  })
})

it('reads the file of a lesson, or says what is wrong with it', () => {
  const read: unknown[] = []
  client.readLesson(TEXT, (found) => read.push(found))
  client.readLesson(TEXT.replace('"see"', '"look"'), (found) => read.push(found))
  settle()
  expect(read).toEqual([
    { ...lesson },
    { refusal: 'step 1: kind: expected see, predict or break, found look' },
  ])
})
