import { type History, HistoryError, parseHistory } from '../../workload/history.ts'
import { parseJepsen } from './jepsen.ts'
import { parsePorcupine } from './porcupine.ts'

export const FORMATS = ['jsonl', 'jepsen', 'porcupine'] as const
export type HistoryFormat = (typeof FORMATS)[number]

const PARSERS: Record<HistoryFormat, (text: string) => History> = {
  jsonl: parseHistory,
  jepsen: parseJepsen,
  porcupine: parsePorcupine,
}

/** Throws HistoryError for text that is not a history, and for an empty history: it would prove nothing. */
export function parse(text: string, format: HistoryFormat | undefined): History {
  const history = PARSERS[format ?? guess(text)](text)
  if (history.calls.length + history.storeCalls.length === 0)
    throw new HistoryError('a history without operations')
  return history
}

function guess(text: string): HistoryFormat {
  const start = text.trimStart().slice(0, 2)
  if (start === '{:') return 'porcupine'
  if (start === '{"') return 'jsonl'
  if (text.includes('jepsen.util - ')) return 'jepsen'
  throw new HistoryError('not a history in a known format; choose one with --format')
}
