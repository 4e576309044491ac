// Lessons: their files, the facts in them, and what their runs show.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { Lab, labSchedule, parseLink } from '../../../jepsen-lite/lab/index.ts'
import { holdsIn, parseFact } from '../../../jepsen-lite/lab/lessons/facts.ts'
import { judgeLesson, parseLesson, SUBJECTS } from '../../../jepsen-lite/lab/lessons/index.ts'
import { judged } from '../../../jepsen-lite/sim/judged-run.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'

const FOLDER = join(import.meta.dirname, '../../../docs/learn/lessons')
const FILES = globSync('*.json', { cwd: FOLDER }).sort()

test.each(FILES)('the lesson %s has the answers that its runs show', async (file) => {
  const lesson = parseLesson(readFileSync(join(FOLDER, file), 'utf8'))
  for (const { run } of lesson.steps) await loadRule(parseLink(run).rule)
  const { problems } = judgeLesson(lesson)
  expect(problems).toEqual([])
})

/** Whether these lines of a student reach the goal of the task at the end of the lesson. */
function reachesGoal(file: string, ...lines: readonly string[]): boolean {
  const task = parseLesson(readFileSync(join(FOLDER, file), 'utf8')).steps.at(-1)
  if (task?.kind !== 'break') return expect.fail('its last step is no task')
  const lab = new Lab(parseLink([task.run, ...lines].join(';')))
  for (let ms = task.from; ms < task.until; ms += 5) {
    lab.runTo(ms)
    if (task.goal.every(({ fact }) => holdsIn(fact, lab.view()))) return true
  }
  return false
}

const WHOLE = 'stalls=false,refuses=false,breaks=false'

test('a leader that hands over is no way through the lesson about elections', () => {
  const unheard = `deaf,target=0,direction=out,ms=3000,${WHOLE}`
  expect(reachesGoal('election.json', `1901:${unheard}`)).toBe(true)
  for (const ms of [1950, 1980, 2300])
    expect(reachesGoal('election.json', '1901:transfer,target=leader,to=3', `${ms}:${unheard}`)).toBe(false)
})

describe('to depose a leader by cuts', () => {
  const later = (line: string): string => line.replace('1901:', '2300:')
  const cuts = (...to: readonly number[]) =>
    to.map((node) => `1901:one-way,from=0,to=${node},ms=10000,${WHOLE}`)

  it.each([[[1, 2, 3]], [[1, 2, 4]], [[1, 3, 4]], [[2, 3, 4]]])('takes any three: %j', (to) => {
    expect(reachesGoal('split-vote.json', ...cuts(...to))).toBe(true)
  })

  it.each([
    ['a hand-over', ['1901:transfer,target=0,to=1']],
    ['a hand-over before the cuts', ['1901:transfer,target=0,to=1', ...cuts(1, 2, 3).map(later)]],
    ['two cuts', cuts(1, 2)],
    ['four cuts', cuts(1, 2, 3, 4)],
  ])('is not done by %s', (_, lines) => {
    expect(reachesGoal('split-vote.json', ...lines)).toBe(false)
  })
})

describe('a partition in which nobody can lead', () => {
  it.each([
    ['two pairs', ['0+1', '2+3']],
    ['three single nodes', ['0', '1', '2']],
  ])('has %s', (_, sides) => {
    const lines = sides.map((side) => `1960:partition,side=(${side}),ms=6000,${WHOLE}`)
    expect(reachesGoal('availability.json', ...lines)).toBe(true)
  })

  it.each([
    ['a hand-over', '1960:transfer,target=0,to=1'],
    ['a crash', '1960:crash,target=0,point=now,skip=0,inFlight=lost,silent=false,ms=500'],
    ['a leader that is alone', `1960:isolate,target=0,ms=6000,${WHOLE}`],
  ])('is more than %s', (_, line) => {
    expect(reachesGoal('availability.json', line)).toBe(false)
  })
})

test('a watch has to receive its second event from the leader', () => {
  const crash = (ms: number, target: number) =>
    `${ms}:crash,target=${target},point=now,skip=0,inFlight=lost,silent=false,ms=500`
  const put = (ms: number) => `${ms}:put,client=0,node=leader,key=0,x=41`
  expect(reachesGoal('watch.json', crash(2500, 1), crash(4500, 2), put(5500))).toBe(true)
  expect(reachesGoal('watch.json', crash(2500, 1), put(3500))).toBe(false)
  expect(reachesGoal('watch.json', crash(2500, 1), crash(4500, 2))).toBe(false)
})

// In this run n1 leads term 2 from 1161 ms on, and n4 leads term 3 from 3408 ms on.
const RUN = 'seed=1;2000:isolate,target=0,ms=4000,stalls=false,refuses=false,breaks=false'
const SEE = { kind: 'see', until: 300, text: 'Look.' }
const PREDICT = {
  kind: 'predict',
  question: 'Who leads?',
  until: 3500,
  choices: [
    { text: 'n1', when: ['leader = n1'], reply: 'No.' },
    { text: 'n4', when: ['leader = n4', '2500: leader = n1', 'ever leaders = 2'], reply: 'Yes.' },
  ],
}
const BREAK = {
  kind: 'break',
  from: 1500,
  until: '+3000',
  task: 'Let another node lead.',
  goal: ['leaders >= 1', 'leader != n1'],
  solution: ['1501:pause,target=0,ms=3000'],
  after: 'It is done.',
}
const lessonOf = (...steps: readonly object[]): string =>
  JSON.stringify({ title: 'A title', summary: 'A summary.', minutes: 5, run: RUN, steps })

describe('the file of a lesson', () => {
  it('has steps, each of which begins where the one before it ended', () => {
    const { steps } = parseLesson(
      lessonOf(SEE, { ...SEE, until: '+200', run: 'seed=2' }, SEE, BREAK, { ...SEE, until: 1600 }),
    )
    expect(steps.map(({ from, until, run }) => [from, until, run.slice(0, 6)])).toEqual([
      [0, 300, 'seed=1'],
      [0, 200, 'seed=2'],
      [200, 300, 'seed=2'],
      [1500, 4500, 'seed=2'],
      [1500, 1600, 'seed=2'],
    ])
  })

  it('may have a run as a list of its lines, or as the address of the page', () => {
    const link = (run: unknown) => parseLesson(lessonOf({ ...SEE, run })).steps[0]?.run
    expect(link(['seed=3', '1000:transfer,target=0'])).toBe('seed=3;1000:transfer,target=0')
    expect(link('http://127.0.0.1:7450/#seed=3')).toBe('seed=3')
  })

  it.each([
    ['{', 'no JSON'],
    ['[]', 'the lesson: expected an object'],
    [lessonOf(), 'the lesson: steps: expected at least one step'],
    [lessonOf(SEE).replace('"minutes":5,', ''), 'the lesson: minutes: it is missing'],
    [lessonOf(SEE, { ...SEE, kind: 'ask' }), 'step 2: kind: expected see, predict or break, found ask'],
    [lessonOf({ ...SEE, txt: '' }), 'step 1 (see): txt: there is no such field; there are kind, run,'],
    [lessonOf({ ...SEE, text: '' }), 'step 1 (see): text: expected a text, found ""'],
    [lessonOf({ ...SEE, speed: 0 }), 'step 1 (see): speed: expected a number above 0'],
    [lessonOf({ ...SEE, until: 600_001 }), 'step 1 (see): until: a run of the lab ends at 600000 ms'],
    [lessonOf({ ...SEE, until: 'soon' }), 'step 1 (see): until: expected milliseconds'],
    [lessonOf(SEE, { ...SEE, until: 100 }), 'step 2 (see): until: 100 ms is before 300 ms'],
    [lessonOf({ ...SEE, run: 'seed=1;12:putt' }), 'step 1 (see): run: faults[0].kind: expected one of'],
    [lessonOf({ ...PREDICT, choices: [] }), 'step 1 (predict): choices: expected two choices or more'],
    [
      lessonOf({ ...PREDICT, choices: [PREDICT.choices[0], { text: 'n4', when: [], reply: 'Yes.' }] }),
      'step 1 (predict), choice 2: when: expected at least one fact',
    ],
    [lessonOf({ ...BREAK, goal: ['ever leaders = 2'] }), 'step 1 (break): goal: its facts hold together'],
    [
      lessonOf({ ...BREAK, from: 1501 }),
      'step 1 (break): solution: the line at 1501 ms is not after 1501 ms',
    ],
  ])('%s is refused', (text, words) => {
    expect(() => parseLesson(text)).toThrow(words)
  })

  it.each([
    ['n1.role', 'expected [MS: | ever | never] SUBJECT'],
    ['n1.rôle = leader', 'expected [MS:'],
    ['n1.rule = leader', 'there is no n1.rule; there are NODE.role, '],
    ['n1.role = Leader', 'n1.role: expected one of follower, pre-candidate'],
    ['n1.term = two', 'n1.term: expected a number'],
    ['n1.log[0].term = 0', 'there is no n1.log[0].term; there are'],
    ['c1.0.outcome = ok', 'there is no c1.0.outcome; there are'],
    ['messages[vote] = 0', 'there is no messages[vote]; there are'],
    ['c1.last.answer contains "c1.0', 'expected [MS:'],
    ['leader < n2', 'leader: only numbers are compared by their size'],
    ['n1.term = n1.role', 'n1.term: the two never have the same value'],
    ['w1.received = 0', 'there is no w1 in this run: it begins 0 watches'],
    ['n8.term = 2', 'there is no n8 in this run: it has nodes n1 to n7'],
    ['n1.vote = n8', 'there is no n8 in this run'],
    ['c4.last.outcome = ok', 'there is no c4 in this run: it has clients c1 to c3'],
    ['9000: leaders = 1', '9000 ms is outside of the step, which lasts from 0 to 3500 ms'],
  ])('the fact %s is refused', (fact, words) => {
    const [first, second] = PREDICT.choices
    const choices = [first, { ...second, when: [fact] }]
    expect(() => parseLesson(lessonOf({ ...PREDICT, choices }))).toThrow(
      new RegExp(`step 1 \\(predict\\), choice 2: when: .*${words.replaceAll(/[[\]|.(]/g, '\\$&')}`),
    )
  })
})

test('the newest event of a watch, if its key was deleted', () => {
  const lab = new Lab(parseLink('seed=1;1500:watch,client=1,node=1,key=0,x=1363'))
  lab.runTo(1600)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: 41 })
  lab.runTo(2200)
  expect(holdsIn(parseFact('w1.last = k0=c1.0 and w1.received = 1'), lab.view())).toBe(true)
  lab.add({ kind: 'del', client: 0, node: 'leader', key: 0, x: 41 })
  lab.runTo(2800)
  expect(holdsIn(parseFact('w1.last = k0 and w1.received = 2'), lab.view())).toBe(true)
})

test('facts about an instant', () => {
  const lab = new Lab(labSchedule(1))
  lab.runTo(1500)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: 41 })
  lab.add({ kind: 'get', client: 1, node: 0, key: 0, x: 41 })
  lab.add({ kind: 'one-way', from: 0, to: 2, ms: 4000, stalls: false, refuses: false, breaks: false })
  lab.runTo(1900)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: 41 })
  lab.runTo(1945)
  const view = lab.view()
  const holds = (fact: string): boolean => holdsIn(parseFact(fact), view)
  const held = [
    'leaders = 1 and leader = n1 and term = 2',
    'n1.role = leader and n1.state = running and n1.member = voter and n6.member = none',
    'n2.vote = n1 and n2.leader = n1 and n2.term = n1.term and leader.term = 2',
    'n1.last = 4 and n1.commit = 3 and n1.first = 2 and n2.applied <= n2.commit',
    'n1.log[3].label = k0=c1.0 and n1.log[3].term = 2 and n3.log[3].term = none',
    'n1.match[n2] = 3 and n1.match[n3] < n1.match[n2] and n2.match[n1] = none',
    'n3.durable < 3 and n3.last != n1.last',
    'c1.1.outcome = ok and c1.last.outcome = waits and c1.last.answer = ""',
    'c1.1.request contains "put k0" and c2.last.answer contains absent and c2.last.node = n1',
    'c3.last.outcome = none',
    'cut[n1,n3] = yes and cut[n3,n1] = no and cuts = 1',
    'messages[append] = 0 and violation = none and verdict = linearizable',
  ]
  expect(held.filter((fact) => !holds(fact))).toEqual([])
  const failing = ['n1.role != leader', 'n1.term > 2', 'n3.log[3].term < 9', 'leaders = 1 and cuts = 0']
  expect(failing.filter(holds)).toEqual([])
})

describe('the judge', () => {
  it('finds the choice that the run shows, and the time of a goal', () => {
    const { steps, problems, runs } = judgeLesson(parseLesson(lessonOf(SEE, PREDICT, BREAK)))
    expect(problems).toEqual([])
    expect(steps).toEqual([
      { kind: 'see' },
      { kind: 'predict', judged: { choices: [[false], [true, true, true]], right: [1] } },
      { kind: 'break', judged: { reachedAt: expect.closeTo(3000, -3), reachedAloneAt: undefined } },
    ])
    expect(runs.map(({ link }) => link.split(';')[0])).toEqual(['seed=1,ms=3500', 'seed=1,ms=4500'])
    // `jepsen-lite replay` does this.
    expect(runs.map(({ link }) => judged(parseLink(link)).trace)).toEqual(runs.map(({ trace }) => trace))
  })

  it('knows facts about the end, about a moment, and about all instants of a step', () => {
    const facts: readonly (readonly [fact: string, isTrue: boolean])[] = [
      ['ever leaders = 3', false],
      ['never leaders = 3', true],
      ['never leaders = 2', false],
      ['ever n1.role = leader and n1.term = 3', false],
      ['3407: leaders = 1', true],
      ['3409: leaders = 2', true],
      ['leaders = 2', true],
    ]
    const choices = facts.map(([fact]) => ({ text: fact, when: [fact], reply: fact }))
    const [step] = judgeLesson(parseLesson(lessonOf({ ...PREDICT, choices }))).steps
    expect(step).toMatchObject({ judged: { choices: facts.map(([, isTrue]) => [isTrue]) } })
  })

  it('goes back to the beginning of a step that is before the end of the step before', () => {
    const choices = ['n1', 'n4'].map((name) => ({ text: name, when: [`leader = ${name}`], reply: name }))
    const { steps } = judgeLesson(
      parseLesson(lessonOf(PREDICT, { ...PREDICT, from: 300, until: 2500, choices })),
    )
    expect(steps[1]).toMatchObject({ judged: { right: [0] } })
  })

  it('names a violation of which no fact speaks', () => {
    // A clock runs faster than any clock may, and the leader serves reads by its lease.
    const run =
      'seed=396,nodes=3,spares=0,clocks=2,leases=1,leaseMs=1500;1850:put,client=0,node=0,key=0,x=41;' +
      '2700:get,client=0,node=0,key=0,x=41;2700:lease,client=1,node=0,key=0,x=41;' +
      '3420:put,client=2,node=1,key=0,x=41;3600:lease,client=1,node=0,key=0,x=41;1600:transfer,target=leader,to=0;' +
      '2250:isolate,target=0,ms=3000,stalls=false,refuses=false,breaks=false'
    const problems = (...facts: readonly string[]): readonly string[] => {
      const choices = facts.map((fact) => ({ text: fact, when: [fact], reply: fact }))
      return judgeLesson(parseLesson(lessonOf({ ...PREDICT, run, until: 3650, choices }))).problems
    }
    expect(problems('leaders >= 1', 'leaders = 0')).toEqual([
      expect.stringMatching(/^seed=396.*: READ-4: n1 serves/),
    ])
    expect(problems('violation != none', 'leaders = 0')).toEqual([])
  })

  it('names what is wrong with a lesson', () => {
    const [first, second] = PREDICT.choices
    const alike = { ...PREDICT, choices: [first, second, second] }
    const none = { ...PREDICT, choices: [first, first], from: 300 }
    const idle = {
      ...BREAK,
      goal: ['leaders = 2'],
      solution: ['1501:isolate,target=1,ms=500,stalls=false,refuses=false,breaks=false'],
    }
    const early = { ...BREAK, goal: ['leaders = 1'] }
    expect(judgeLesson(parseLesson(lessonOf(alike, none, idle, early))).problems).toEqual([
      'step 1: choices 2 and 3 are right',
      'step 2: no choice is right',
      'step 3: its solution does not reach the goal',
      'step 4: its goal holds at 1500 ms without the solution',
    ])
  })
})

describe('the page for teachers', () => {
  const page = readFileSync(join(FOLDER, '../writing-a-lesson.md'), 'utf8')

  it('has a lesson, as it is', () => {
    const [, json = ''] = /```json\n(.*?)```/s.exec(page) ?? []
    expect(judgeLesson(parseLesson(json)).problems).toEqual([])
  })

  it('has all subjects of facts, with their meaning and values', () => {
    const rows = SUBJECTS.map(({ form, meaning, values }) => {
      const words = typeof values === 'object' ? `: ${values.map((value) => `\`${value}\``).join(', ')}` : ''
      return `| \`${form}\` | ${meaning}${words} |`
    })
    const [, table = ''] = /\| subject \| meaning \|\n\|---\|---\|\n(.*?)\n\n/s.exec(page) ?? []
    expect(table.split('\n')).toEqual(rows)
  })
})
