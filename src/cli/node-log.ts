// The log of `kv node start` on stderr: JSON lines, or one short line per event (`--log-format`).

import { styleText } from 'node:util'
import { type DestinationStream, pino } from 'pino'
import type { Logger } from '../server/options.ts'
import { logDestination } from '../server/process/log-destination.ts'
import type { LogFormat, LogLevel } from './flags/flag-values.ts'
import { escapeText } from './format/text.ts'
import { terminal } from './terminal/terminal.ts'

/** Without a format, a terminal gets text and everything else gets JSON. */
export function nodeLog(name: string, level: LogLevel, format?: LogFormat): Logger {
  const isTerminal = process.stderr.isTTY
  const lines = logDestination(isTerminal ? terminal() : 2)
  const destination = (format ?? (isTerminal ? 'text' : 'json')) === 'text' ? oneLiners(lines) : lines
  return pino({ base: { node: name }, level }, destination)
}

const PAINT = { 20: 'dim', 30: 'none', 40: 'yellow', 50: 'red' } as const

const oneLiners = (destination: DestinationStream): DestinationStream => ({
  write: (json) => destination.write(`${oneLine(json)}\n`),
})

/** A line for people: the time, the node, what happened, and the fields that this does not say already. */
export function oneLine(json: string): string {
  const { level, time, msg, node, ...fields } = JSON.parse(json)
  const details = Object.entries(fields).flatMap(([field, value]) => {
    const text = brief(value)
    return text === '' || says(msg, text) ? [] : escapeText(`${field}=${text}`)
  })
  const paint = isPainted(level) ? PAINT[level] : 'none'
  const clock = new Date(time).toTimeString().slice(0, 8)
  const head = styleText('dim', escapeText(`${clock} ${node}`), STDERR)
  return [head, styleText(paint, escapeText(String(msg)), STDERR), ...details].join('  ')
}

const STDERR = { stream: process.stderr }

function isPainted(level: unknown): level is keyof typeof PAINT {
  return typeof level === 'number' && level in PAINT
}

/** Whether the message already contains the words of `text`, for example of the error that it reports. */
const says = (message: string, text: string): boolean => splitWords(message).includes(splitWords(text))

const splitWords = (text: string): string => ` ${text.replace(/[\s,;:()]+/g, ' ').trim()} `

/** An error is an object with a stack. A terminal shows only its message. */
function brief(value: unknown): string {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value === 'object' && value !== null && 'message' in value) return String(value.message)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
