// Logs of Jepsen's etcd tests: one register, one event per line,
//
//   INFO  jepsen.util - 4   :invoke  :cas  [0 2]
//
// `:info` is an unknown outcome. `:fail :cas` says that the register did not hold the first value. A failed read says
// nothing. There are no times, only the order of the lines, so each line counts as a millisecond.

import {
  buildHistory,
  type History,
  HistoryError,
  type HistoryEvent,
  type HistoryOperation,
} from '../../workload/history.ts'

const EVENT = /jepsen\.util - (\S+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*?)\s*$/
const KEY = 'register'

export function parseJepsen(text: string): History {
  return buildHistory(parseJepsenEvents(text))
}

function* parseJepsenEvents(text: string): Generator<HistoryEvent> {
  yield { type: 'history', version: 1, workload: 'jepsen', model: 'cas', command: '' }
  /** Operations in flight, by process. */
  const open = new Map<string, { readonly id: number; readonly op: HistoryOperation }>()
  let time = 0
  for (const line of text.split('\n')) {
    time += 1
    const [, process, type, f, value] = EVENT.exec(line) ?? []
    if (process === undefined || type === undefined || f === undefined || value === undefined) {
      // Lines of the nemesis and other lines are skipped, but no operation may be overlooked.
      if (/jepsen\.util - \d+\s/.test(line)) throw new HistoryError(`line ${time} is not understood: ${line}`)
      continue
    }
    if (type === 'invoke') {
      if (open.has(process)) throw new HistoryError(`line ${time}: process ${process} is still busy`)
      const op = parseOperation(f, value, time)
      open.set(process, { id: time, op })
      yield { type: 'invoke', id: time, client: process, time, node: '', op }
      continue
    }
    const busy = open.get(process)
    if (busy === undefined) throw new HistoryError(`line ${time}: process ${process} has nothing to end`)
    open.delete(process)
    yield parseEnd(busy.id, time, type, f, value)
  }
}

function parseOperation(f: string, value: string, line: number): HistoryOperation {
  if (f === 'read') return { f: 'get', key: KEY }
  if (f === 'write') return { f: 'put', key: KEY, value }
  const [, from, to] = /^\[(\S+) (\S+)\]$/.exec(value) ?? []
  if (from === undefined || to === undefined) throw new HistoryError(`line ${line}: not [from to]: ${value}`)
  return { f: 'cas', key: KEY, from: orNull(from), to }
}

function parseEnd(id: number, time: number, type: string, f: string, value: string): HistoryEvent {
  if (type === 'info') return { type: 'unknown', id, time, why: value }
  if (type === 'fail' && f === 'cas') return { type: 'ok', id, time, result: { applied: false } }
  if (type === 'fail') return { type: 'fail', id, time, why: value }
  return { type: 'ok', id, time, result: f === 'read' ? { value: orNull(value) } : {} }
}

const orNull = (value: string): string | null => (value === 'nil' ? null : value)
