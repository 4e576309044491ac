// The key-value histories of porcupine's tests: many keys, one event per line,
//
//   {:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
//
// A key begins as the empty string. No operation fails. Only operations that are open at the end have an unknown
// outcome.

import {
  buildHistory,
  type History,
  HistoryError,
  type HistoryEvent,
  type HistoryOperation,
} from '../../workload/history.ts'

const EVENT =
  /^\{:process (\d+), :type :(invoke|ok), :f :(get|put|append), :key ("(?:[^"\\]|\\.)*"), :value (nil|"(?:[^"\\]|\\.)*")\}$/

export function parsePorcupine(text: string): History {
  return buildHistory(parsePorcupineEvents(text))
}

function* parsePorcupineEvents(text: string): Generator<HistoryEvent> {
  yield { type: 'history', version: 1, workload: 'porcupine', model: 'kv', initial: '', command: '' }
  const open = new Map<string, number>()
  let time = 0
  for (const line of text.split('\n')) {
    time += 1
    if (line.trim() === '') continue
    const [, process, type, f, keyText, valueText] = EVENT.exec(line.trim()) ?? []
    if (process === undefined || f === undefined || keyText === undefined || valueText === undefined) {
      throw new HistoryError(`line ${time} is not understood: ${line}`)
    }
    const value = valueText === 'nil' ? '' : unquote(valueText)
    if (type === 'invoke') {
      if (open.has(process)) throw new HistoryError(`line ${time}: process ${process} is still busy`)
      open.set(process, time)
      const op = parseOperation(f, unquote(keyText), value)
      yield { type: 'invoke', id: time, client: process, time, node: '', op }
      continue
    }
    const id = open.get(process)
    if (id === undefined) throw new HistoryError(`line ${time}: process ${process} has nothing to end`)
    open.delete(process)
    yield { type: 'ok', id, time, result: f === 'get' ? { value } : {} }
  }
}

function parseOperation(f: string, key: string, value: string): HistoryOperation {
  if (f === 'get') return { f, key }
  return { f: f === 'put' ? 'put' : 'append', key, value }
}

/** In these files EDN's strings are also valid JSON. */
function unquote(text: string): string {
  try {
    return String(JSON.parse(text))
  } catch {
    throw new HistoryError(`not understood as a text: ${text}`)
  }
}
