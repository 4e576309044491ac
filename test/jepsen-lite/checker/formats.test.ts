// Histories in the formats of other tools become the same events; other files are refused.

import { expect, test } from 'vitest'
import { parse } from '../../../jepsen-lite/checker/index.ts'
import { formatEvent, HistoryError } from '../../../jepsen-lite/workload/history.ts'
import { get, put, Story } from './story.ts'

const ends = (text: string) => parse(text, undefined).calls.map(({ op, outcome }) => ({ op, outcome }))

test("Jepsen's log of a register", () => {
  const log = `
INFO  jepsen.core - Worker 0 starting
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1  :invoke  :cas  [0 2]
INFO  jepsen.util - :nemesis\t:info\t:start\tcut
INFO  jepsen.util - 0\t:info\t:write\t:timed-out
INFO  jepsen.util - 1  :fail  :cas  [0 2]
INFO  jepsen.util - 5\t:invoke\t:read\tnil
INFO  jepsen.util - 5\t:ok\t:read\tnil
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:cas\t[2 4]
`
  const key = 'register'
  expect(ends(log)).toEqual([
    { op: { f: 'put', key, value: '3' }, outcome: { kind: 'unknown', why: ':timed-out' } },
    { op: { f: 'cas', key, from: '0', to: '2' }, outcome: { kind: 'ok', result: { applied: false } } },
    { op: { f: 'get', key }, outcome: { kind: 'ok', result: { value: null } } },
    { op: { f: 'get', key }, outcome: { kind: 'fail', why: ':timed-out' } },
    { op: { f: 'cas', key, from: '2', to: '4' }, outcome: { kind: 'unknown', why: expect.any(String) } },
  ])
})

test("porcupine's text of many keys", () => {
  const text = `{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 \\"0\\" y"}
{:process 0, :type :ok, :f :append, :key "0", :value "x 0 \\"0\\" y"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
`
  expect(parse(text, undefined).header.initial).toBe('')
  expect(ends(text)).toEqual([
    { op: { f: 'append', key: '0', value: 'x 0 "0" y' }, outcome: { kind: 'ok', result: {} } },
    { op: { f: 'get', key: '0' }, outcome: { kind: 'ok', result: { value: '' } } },
  ])
})

test("a text of porcupine's that is none is a fault of the file, and not of the judge", () => {
  const text = '{:process 0, :type :invoke, :f :put, :key "0", :value "\\q"}'
  expect(() => parse(text, undefined)).toThrow(HistoryError)
})

test('our own, written and read again', () => {
  const story = new Story().tell(put('x', '1'), { revision: 2 }).final('n1', 2, 'hash', [])
  story.ask(get('x')).fail('no_leader')
  expect(parse(story.events.map(formatEvent).join('\n'), undefined)).toEqual(story.history)
})

const HEADER = '{"type":"history","version":1,"workload":"w","command":""}'
const INVOKE = '{"type":"invoke","id":1,"client":1,"time":5,"node":"n1","op":{"f":"get","key":"x"}}'

test.each([
  ['an empty file', ''],
  ['a text', 'to whom it may concern'],
  ['a history in which nothing happens', HEADER],
  ['a later version', HEADER.replace('"version":1', '"version":2')],
  ['a history without a header', INVOKE],
  [
    'one that begins with an empty store, whose keys hold something',
    `${HEADER.replace('}', ',"complete":true,"initial":"0"}')}\n${INVOKE}`,
  ],
  ['a line cut short', `${HEADER}\n${INVOKE.slice(0, 40)}`],
  ['an operation of another kind', `${HEADER}\n${INVOKE.replace('get', 'watch')}`],
  ['a value that is a number', `${HEADER}\n${INVOKE}\n{"type":"ok","id":1,"time":6,"result":{"value":7}}`],
  ['an end without a beginning', `${HEADER}\n${INVOKE}\n{"type":"ok","id":2,"time":6,"result":{}}`],
  ['two beginnings of one operation', `${HEADER}\n${INVOKE}\n${INVOKE}`],
  ['a clock that goes back', `${HEADER}\n${INVOKE}\n{"type":"ok","id":1,"time":4,"result":{}}`],
  [
    'a process that does two things at once',
    'INFO  jepsen.util - 0 :invoke :read nil\nINFO  jepsen.util - 0 :invoke :read nil',
  ],
  ['an operation that Jepsen’s register does not have', 'INFO  jepsen.util - 0 :invoke :enqueue 1'],
  ['a broken line of porcupine’s', '{:process 0, :type :invoke, :f :get}'],
])('%s is no history', (_, text) => {
  expect(() => parse(text, undefined)).toThrow(HistoryError)
})
