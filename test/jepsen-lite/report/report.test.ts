// The report as a file: whole, alone, and safe from what it shows. That it looks right is seen in a browser
// (jepsen-lite/report/README.md).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { afterAll, describe, expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import { checkTransactions } from '../../../jepsen-lite/checker/transactions/index.ts'
import type { buildPageData } from '../../../jepsen-lite/report/data.ts'
import { renderReport } from '../../../jepsen-lite/report/index.ts'
import type { RunResults } from '../../../jepsen-lite/report/run-finder.ts'
import { parseRunResults } from '../../../jepsen-lite/report/run-finder.ts'
import { generate } from '../../../jepsen-lite/sim/index.ts'
import { formatEvent } from '../../../jepsen-lite/workload/history.ts'
import { append, at, get, put, Story, seen } from '../checker/story.ts'
import { read, TransactionHistory, write } from '../checker/transactions/transaction-history.ts'
import { runCommand } from '../commands/run-command.ts'

const folder = mkdtempSync(join(tmpdir(), 'quorate-report-'))
afterAll(() => rmSync(folder, { recursive: true }))

const HOSTILE = '</script><img src=x onerror=alert(1)>"\'&<!-- \u2028'

const reportOn = ({ history }: Story, run?: RunResults): string =>
  renderReport({ history, verdict: check(history), run })

const staleRead = (): Story =>
  new Story().tell(put('x', 'old'), {}).tell(put('x', 'new'), {}).tell(get('x'), { value: 'old' }, 'b')

describe('the file', () => {
  const html = reportOn(staleRead())

  test('needs nothing else, and may load nothing else', () => {
    expect(html).toContain(
      `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`,
    )
    expect(html.match(/<(link|img|iframe|object)\b|\ssrc=|https?:|@import url|url\(/g)).toBeNull()
  })

  test('is well-formed, with a script that a browser can compile', () => {
    expect(unclosed(html)).toEqual([])
    expect(scriptsOf(html)).toHaveLength(2)
    expect(() => new Script(scriptsOf(html)[1] ?? '')).not.toThrow()
  })

  test('says what is wrong without a script', () => {
    const text = textOf(html)
    expect(text).toContain('violation')
    expect(text).toContain('operation 3 fits nowhere')
    expect(text).toContain('Key x: these operations alone cannot be explained')
  })
})

test('transactions that were checked too are among the verdicts, and what is wrong with them comes first', () => {
  const { history } = staleRead()
  const verdict = check(history)
  expect(textOf(renderReport({ history, verdict }))).toContain('not requested')
  const right = new Story().tell(put('x', '1'), at(2)).history
  const passed = textOf(
    renderReport({ history: right, verdict: check(right), transactions: checkTransactions(right) }),
  )
  expect(passed).toContain('1 transactions, 0 dependencies of 1 keys')
  const lost = new TransactionHistory().together(
    [read('n', null), write('n', '1', 2)],
    [read('n', null), write('n', '2', 3)],
  ).history
  const found = renderReport({ history: lost, verdict: check(lost), transactions: checkTransactions(lost) })
  const text = textOf(found)
  expect(text).toContain('G-single (lost update): no order of')
  expect(text.indexOf('violation')).toBeLessThan(text.indexOf('G-single'))
  expect(unclosed(found)).toEqual([])
})

describe('what it draws', () => {
  test('every operation, as it ended', () => {
    const story = new Story().tell(append('x', 'a,'), at(1))
    story.ask(put('y', '1')).fail('overloaded')
    story.ask(put('y', '2'), 'b').unknown()
    story.ask({ f: 'range', prefix: 'x' }, 'c')
    const { calls } = dataIn(reportOn(story))
    expect(calls.map(({ what, outcome, answer }) => [what, outcome, answer])).toEqual([
      ['append x + "a,"', 'ok', '@1, store 1'],
      ['put y = "1"', 'fail', 'overloaded'],
      ['put y = "2"', 'unknown', 'outcome_unknown'],
      ['range x*', 'unknown', 'it was still open when the recording ended'],
    ])
    expect(calls.map(({ endMs }) => endMs)).toEqual([2, 4, 6, null])
  })

  test('the order that explains a key, and what the key was', () => {
    const story = new Story()
    const write = story.ask(put('x', '1'))
    story.tell(get('x'), { value: null }, 'b')
    write.ok()
    const { points, calls } = dataIn(reportOn(story))
    expect(points.map(({ call, state }) => [calls[call]?.what, state])).toEqual([
      ['get x', 'absent'],
      ['put x = "1"', '"1"'],
    ])
  })

  test('the operation that fits nowhere, after the longest beginning', () => {
    const { misfits, points, calls, keys } = dataIn(reportOn(staleRead()))
    expect(misfits.map(({ call, key }) => [calls[call]?.id, keys[key]])).toEqual([[3, 'x']])
    expect(points.map(({ call }) => calls[call]?.id)).toEqual([1, 2])
    expect(dataIn(reportOn(new Story().tell(put('x', '1'), {}))).misfits).toEqual([])
  })

  test('what a node holds at the end, when that fits nowhere', () => {
    const story = new Story().tell(put('x', '1'), at(1)).tell(get('x'), seen('1', 1))
    story.final('n1', 1, 'hash', [{ key: 'x', value: 'other', modRevision: 1 }])
    expect(dataIn(reportOn(story)).misfits).toMatchObject([{ call: -1, key: 0 }])
  })

  test('what nodes were, and what was done to them', () => {
    const { spans, marks, faults } = dataIn(reportOn(troubled()))
    expect(spans.map(({ lane, state, term, fromMs, toMs }) => [lane, state, term, fromMs, toMs])).toEqual([
      [0, 'starting', null, 0, 10],
      [0, 'leader', 2, 10, 20],
      [0, 'down', null, 20, 40],
      [0, 'starting', null, 40, 60],
      [1, 'follower', 2, 10, 30],
      [1, 'paused', 2, 30, 50],
      [1, 'follower', 2, 50, 60],
    ])
    // A killed process ends too; the report shows one mark for both.
    expect(marks.map(({ lane, what, timeMs }) => [lane, what, timeMs])).toEqual([
      [0, 'start', 0],
      [0, 'elected', 10],
      [0, 'kill', 20],
      [1, 'pause', 30],
      [0, 'start', 40],
      [1, 'resume', 50],
    ])
    expect(
      faults.map(({ kind, nodes, fromMs, toMs, effect }) => [kind, nodes, fromMs, toMs, effect]),
    ).toEqual([
      ['kill-one', [0], 20, 40, 'it was gone'],
      ['pause-one', [1], 30, 60, null],
    ])
  })

  test('what the processes of a simulation were, and what they wrote', () => {
    const { processes, processSpans, processMarks, output, faults, startMs } = dataIn(reportOn(simulated()))
    expect([startMs, processes]).toEqual([0, ['body', 'worker']])
    expect(processSpans.map(({ lane, state, fromMs, toMs }) => [lane, state, fromMs, toMs])).toEqual([
      [0, 'running', 0, 60],
      [1, 'running', 10, 15],
      [1, 'blocked', 15, 20],
      [1, 'paused', 20, 25],
      [1, 'blocked', 25, 30],
      [1, 'running', 30, 35],
      [1, 'down', 35, 40],
      [1, 'running', 40, 50],
      [1, 'ended', 50, 60],
    ])
    expect(processMarks.filter(({ lane }) => lane === 1).map(({ what, timeMs }) => [what, timeMs])).toEqual([
      ['start', 10],
      ['block', 15],
      ['pause', 20],
      ['resume', 25],
      ['unblock', 30],
      ['kill', 35],
      ['start', 40],
      ['ended', 50],
    ])
    expect(output).toEqual([
      { process: 1, timeMs: 12, isError: false, text: 'one' },
      { process: 1, timeMs: 12, isError: false, text: 'two' },
      { process: 1, timeMs: 45, isError: true, text: 'bad' },
    ])
    expect(faults).toMatchObject([
      { kind: 'pause', nodes: [], processes: [1], fromMs: 20, toMs: 25, effect: 'worker', details: '' },
      {
        kind: 'cut',
        nodes: [0],
        processes: [1],
        fromMs: 25,
        toMs: 60,
        effect: 'n1 worker',
        details: 'from n2',
      },
      { kind: 'crash', nodes: [], processes: [1], fromMs: 26, toMs: 60, effect: null },
    ])
  })

  test('a process after each of its starts, whatever it was before', () => {
    const story = new Story()
    const process = 'worker'
    const changes = ['start', 'block', 'kill', 'start', 'pause', 'kill', 'start', 'ended', 'start', 'kill']
    for (const what of changes) story.note(what, { process })
    const { processSpans } = dataIn(reportOn(story.note('violation')))
    const states = ['running', 'blocked', 'down', 'running', 'paused', 'down', 'running', 'ended', 'running']
    expect(processSpans.map(({ state }) => state)).toEqual([...states, 'down'])
  })

  test('lines as a process wrote them, without the rest of very long ones', () => {
    const text = `  one\n\n${'x'.repeat(1_001)}\ntwo \n`
    const { output } = dataIn(reportOn(new Story().note('output', { process: 'worker', text })))
    expect(output.map((line) => line.text)).toEqual(['  one', '', `${'x'.repeat(1_000)}…`, 'two '])
  })

  test('the last lines of a process that wrote many, and how many came before', () => {
    const text = Array.from({ length: 20_003 }, (_, at) => `line ${at + 1}\n`).join('')
    const story = new Story().note('start', { process: 'worker' })
    const { output, linesLeftOut } = dataIn(reportOn(story.note('output', { process: 'worker', text })))
    expect([linesLeftOut, output.length]).toEqual([3, 20_000])
    expect([output.at(0)?.text, output.at(-1)?.text]).toEqual(['line 4', 'line 20003'])
  })

  test('the time from the first operation or fault on, and not the start of the nodes', () => {
    const story = new Story()
    const extent = () => {
      const { startMs, endMs } = dataIn(reportOn(story))
      return [startMs, endMs]
    }
    story.events.push({ type: 'note', time: 0, what: 'start', node: 'n1' })
    story.pass(9_000).tell(put('x', '1'), {}).pass(100).tell(get('x'), { value: '1' })
    expect(extent()).toEqual([9_001, 9_104])
    story.events.splice(2, 0, { type: 'note', time: 8_000, what: 'inject', fault: 'kill-one', nodes: ['n1'] })
    expect(extent()).toEqual([8_000, 9_104])
    // The processes of a simulation may write before.
    story.events.splice(2, 0, { type: 'note', time: 7_000, what: 'start', process: 'worker' })
    expect(extent()).toEqual([7_000, 9_104])
  })

  test('nodes and faults also when everything happened at one time', () => {
    const story = new Story()
    story.events.push(
      { type: 'note', time: 5, what: 'role', node: 'n1', role: 'leader', term: 1 },
      { type: 'note', time: 5, what: 'inject', fault: 'kill-one', nodes: ['n1'] },
    )
    const { startMs, endMs, spans, faults } = dataIn(reportOn(story))
    expect([startMs, endMs]).toEqual([5, 6])
    expect(spans).toMatchObject([{ lane: 0, state: 'leader', fromMs: 5, toMs: 6 }])
    expect(faults).toMatchObject([{ nodes: [0], fromMs: 5, toMs: 6 }])
  })

  test('when a rule was seen broken', () => {
    const story = new Story().tell(put('x', '1'), {})
    story.events.push({ type: 'note', time: 7, what: 'violation', message: 'two leaders of one term' })
    expect(dataIn(reportOn(story)).brokenMs).toEqual([7])
  })

  test('faults by kind, with those that could not be had', () => {
    const run = { verdict: 'pass', findings: [], skipped: { 'clock-fast': 'there is no C compiler' } }
    const story = troubled().pass(60).note('no fault', { fault: 'kill-one', why: 'there is no n3' })
    const text = textOf(reportOn(story.note('no fault', { fault: 'skew', why: 'there is no n4' }), run))
    expect(text).toContain('skew 0 0 not injected: there is no n4')
    expect(text).not.toContain('not injected: there is no n3')
    expect(text).toMatch(/kill-one 1 1 0 it was gone/)
    expect(text).toMatch(/pause-one 1 0 0 no effect was seen/)
    expect(text).toContain('skipped because there is no C compiler')
  })
})

test('a failed simulation states why, how to repeat it, and what its processes wrote', () => {
  const { history } = simulated()
  const failure = {
    ...{ code: 'always', what: '"one owner" does not hold\n  at file.ts', timeMs: 60, seed: 7 },
    ...{ schedule: '500 pause a for 60000', steps: ['0.060 s worker: output bad'] },
  }
  const html = renderReport({ history, verdict: check(history), failure })
  const text = textOf(html)
  expect(text).toMatch(/simulate seed 7 ✗ always &quot;one owner&quot; does not hold at file\.ts/)
  expect(text).toContain('simulate({ seed: 7, schedule: &#39;500 pause a for 60000&#39; }, …)')
  expect(html).toMatch(/data-time="60"[^>]*>show</)
  expect(html).toMatch(/data-time="45"[^>]*>45\.0</)
  expect(text).toMatch(/Output ms process line 12\.0 worker one 12\.0 worker two 45\.0 worker stderr bad/)
  expect(text).toContain('The last steps (1) 0.060 s worker: output bad')
  // It has no operations, about which there is nothing to say.
  expect(text).not.toMatch(/Verdicts|operations in/)
  expect(text).toMatch(/20\.0 worker inject pause 20\.0 worker pause 25\.0 heal pause/)
  expect(text).toMatch(/25\.0 n1 worker inject cut from n2/)
  expect(unclosed(html)).toEqual([])
  // The last lines are those before the failure.
  const chatty = simulated()
  for (let at = 0; at < 2_000; at++)
    chatty.events.push({
      type: 'note',
      time: 60,
      what: 'output',
      process: 'worker',
      stream: 'stdout',
      text: `${at}`,
    })
  const long = textOf(renderReport({ history: chatty.history, verdict: check(chatty.history), failure }))
  expect(long).toMatch(
    /Output \(the last 1000 of 2003 lines\) ms process line 60\.0 worker 1000 .* worker 1999 /,
  )
})

test('a failed simulation whose clients were recorded also has the verdicts on their operations', () => {
  const { history } = staleRead()
  const failure = { code: 'always', what: 'no', timeMs: 5, seed: 7, schedule: '', steps: [] }
  const text = textOf(renderReport({ history, verdict: check(history), failure }))
  expect(text).toContain('3 operations in')
  expect(text).toContain('operation 3 fits nowhere')
  expect(text).toMatch(/Verdicts .* linearizability ✗ violation/)
})

test('nothing from the data is taken for a page', () => {
  const story = new Story({ workload: HOSTILE, command: HOSTILE })
    .tell(put(HOSTILE, HOSTILE), {}, HOSTILE)
    .tell(get(HOSTILE), { value: `not ${HOSTILE}` }, HOSTILE)
    .note('output', { process: HOSTILE, stream: HOSTILE, text: HOSTILE })
  const html = reportOn(story, {
    verdict: HOSTILE,
    findings: [{ kind: HOSTILE, message: HOSTILE }],
    skipped: { [HOSTILE]: HOSTILE },
  })
  const { history } = story
  const failure = {
    ...{ code: HOSTILE, what: `${HOSTILE}\n${HOSTILE}`, timeMs: 1, seed: 1, schedule: HOSTILE },
    steps: [HOSTILE],
  }
  for (const page of [html, renderReport({ history, verdict: check(history), failure })]) {
    expect(page).not.toContain('<img')
    expect(page).not.toContain('<!-- ')
    expect(unclosed(page)).toEqual([])
  }
  const { keys, clients } = dataIn(html)
  expect({ keys, clients }).toEqual({ keys: [HOSTILE], clients: [HOSTILE] })
})

test('a run is worth what it says itself, and says only once what the checker says', () => {
  const { history } = staleRead()
  const verdict = check(history)
  const [finding] = verdict.findings
  const findings = [
    { kind: 'violation', message: `${finding?.check}: ${finding?.message}` },
    { kind: 'recovery', message: 'it did not come back' },
  ]
  const run = parseRunResults(JSON.stringify({ verdict: 'failed', findings, skipped: {}, seed: 1 }))
  const text = textOf(renderReport({ history, verdict, run }))
  expect(text).toContain('failed the run proves nothing')
  expect(text.split('operation 3 fits nowhere')).toHaveLength(2)
  expect(text).toContain('recovery it did not come back')
  expect(() => parseRunResults('{"verdict":1}')).toThrow(/not what a run writes/)
})

describe('the command', () => {
  test('draws a history, and ends as check does', async () => {
    const file = join(folder, 'history.jsonl')
    writeFileSync(file, staleRead().events.map(formatEvent).join('\n'))
    expect(await report(folder)).toEqual({
      status: 1,
      stdout: `violation: ${join(folder, 'report.html')}\n`,
      stderr: '',
    })
    expect(await report(file, '--out', join(folder, 'x.html'))).toMatchObject({ status: 1 })
    const written = readFileSync(join(folder, 'report.html'), 'utf8')
    expect(written).toBe(readFileSync(join(folder, 'x.html'), 'utf8'))
    expect(dataIn(written).calls).toHaveLength(3)
    expect(await report(join(folder, 'absent'))).toMatchObject({ status: 3 })
  })

  test('does not accept a run that found nothing where the checker finds something', async () => {
    const run = mkdtempSync(join(folder, 'run-'))
    writeFileSync(join(run, 'history.jsonl'), staleRead().events.map(formatEvent).join('\n'))
    writeFileSync(join(run, 'results.json'), '{"verdict":"pass","findings":[],"skipped":{}}')
    expect(await report(run)).toMatchObject({ status: 1, stdout: `violation: ${join(run, 'report.html')}\n` })
    expect(readFileSync(join(run, 'report.html'), 'utf8')).not.toContain('<strong>pass</strong>')
    writeFileSync(join(run, 'results.json'), '{"verdict":"pa')
    expect(await report(run)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('not what a run writes'),
    })
  })

  test('draws a simulated schedule the same way', async () => {
    const file = join(folder, 'schedule.json')
    const cut = { stalls: false, refuses: false, breaks: false }
    const isolated = { at: 1000, kind: 'isolate', target: 1, ms: 500, ...cut }
    const { config, ops, ...schedule } = generate(1, 3)
    const plain = ops.filter(({ kind }) => kind === 'put' || kind === 'get')
    const short = { ...schedule, config: { ...config, ms: 3_000 }, ops: plain, faults: [isolated] }
    writeFileSync(file, JSON.stringify(short))
    expect(await report(file)).toMatchObject({ status: 0, stderr: '' })
    const { spans, calls, faults, marks } = dataIn(readFileSync(`${file}.html`, 'utf8'))
    expect(calls.length).toBeGreaterThan(0)
    expect(faults).toMatchObject([{ kind: 'isolate', nodes: [1], fromMs: 1000, toMs: 1500 }])
    expect(spans.some(({ state }) => state === 'leader')).toBe(true)
    expect(marks.some(({ what }) => what === 'elected')).toBe(true)
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const report = (...args: readonly string[]) => runCommand('report', ...args)

/** Two nodes; one is killed and comes back, the other is paused. */
function troubled(): Story {
  const story = new Story({ nodes: ['n1', 'n2'] })
  const note = (time: number, what: string, details: object) =>
    story.events.push({ ...details, type: 'note', time, what })
  note(0, 'start', { node: 'n1' })
  note(10, 'role', { node: 'n1', role: 'leader', term: 2, leader: 'n1' })
  note(10, 'role', { node: 'n2', role: 'follower', term: 2, leader: 'n1' })
  note(20, 'inject', { fault: 'kill-one', id: 1, nodes: ['n1'] })
  note(20, 'kill', { node: 'n1' })
  note(20, 'ended', { node: 'n1', reason: 'SIGKILL' })
  note(30, 'inject', { fault: 'pause-one', id: 2, nodes: ['n2'] })
  note(30, 'pause', { node: 'n2' })
  note(40, 'heal', { fault: 'kill-one', id: 1, effect: 'it was gone' })
  note(40, 'start', { node: 'n1' })
  note(50, 'resume', { node: 'n2' })
  note(60, 'phase', { phase: 'end' })
  return story
}

/** A process that is blocked, paused, killed, and ends after its second start. */
function simulated(): Story {
  const story = new Story()
  const note = (time: number, what: string, details: object) =>
    story.events.push({ ...details, type: 'note', time, what })
  const process = 'worker'
  note(0, 'role', { node: 'n1', role: 'leader', term: 2 })
  note(0, 'start', { process: 'body' })
  note(10, 'start', { process })
  note(12, 'output', { process, stream: 'stdout', text: 'one\ntwo\n' })
  note(15, 'block', { process })
  note(20, 'inject', { fault: 'pause', id: 1, nodes: [], processes: [process], effect: process })
  note(20, 'pause', { process })
  note(25, 'heal', { fault: 'pause', id: 1 })
  note(25, 'resume', { process })
  const from = 'n2'
  note(25, 'inject', { fault: 'cut', id: 2, nodes: ['n1'], processes: [process], from, effect: 'n1 worker' })
  note(26, 'inject', { fault: 'crash', id: 3, nodes: [], processes: [process], effect: null })
  note(30, 'unblock', { process })
  note(35, 'kill', { process })
  note(40, 'start', { process })
  note(45, 'output', { process, stream: 'stderr', text: 'bad' })
  note(50, 'ended', { process })
  note(60, 'violation', { message: 'one owner' })
  return story
}

const scriptsOf = (html: string): string[] =>
  [...html.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(([, content]) => content ?? '')

const dataIn = (html: string): ReturnType<typeof buildPageData> => JSON.parse(scriptsOf(html)[0] ?? '')

const textOf = (html: string): string =>
  html
    .replaceAll(/<(script|style)[^>]*>.*?<\/\1>/gs, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')

const VOID = new Set(['meta', 'br', 'img', 'input', '!doctype'])

/** Elements that are opened and not closed, or closed and not open. */
function unclosed(html: string): string[] {
  const open: string[] = []
  const bare = html.replaceAll(/(<(script|style)[^>]*>).*?(<\/\2>)/gs, '$1$3')
  for (const [, slash, name = ''] of bare.matchAll(/<(\/?)([a-z!][a-z0-9]*)(?:\s[^>]*)?>/g)) {
    if (VOID.has(name)) continue
    if (slash === '') open.push(name)
    else if (open.at(-1) === name) open.pop()
    else return [...open, `/${name}`]
  }
  return open
}
