// The log of `kv node start` on stderr: JSON lines, or one short line per event on a terminal.

import { styleText } from 'node:util'
import { type DestinationStream, pino } from 'pino'
import { logDestination } from '../local/log-destination.ts'
import type { Logger } from '../server/types.ts'
import type { LogLevel } from './flag-values.ts'
import { terminal } from './terminal.ts'

export function nodeLog(name: string, level: LogLevel): Logger {
  const destination = process.stderr.isTTY ? oneLiners(logDestination(terminal())) : logDestination(2)
  return pino({ base: { node: name }, level }, destination)
}

const PAINT = { 20: 'dim', 30: 'none', 40: 'yellow', 50: 'red' } as const

const oneLiners = (destination: DestinationStream): DestinationStream => ({
  write(json) {
    const { level, time, msg, node, ...fields } = JSON.parse(json)
    const details = Object.entries(fields).map(([field, value]) => `${field}=${brief(value)}`)
    const paint = isPainted(level) ? PAINT[level] : 'none'
    const clock = new Date(time).toTimeString().slice(0, 8)
    const line = [styleText('dim', `${clock} ${node}`, STDERR), styleText(paint, msg, STDERR), ...details]
    destination.write(`${line.join('  ')}\n`)
  },
})

const STDERR = { stream: process.stderr }

function isPainted(level: unknown): level is keyof typeof PAINT {
  return typeof level === 'number' && level in PAINT
}

/** An error is an object with a stack. A terminal shows only its message. */
function brief(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return String(value.message)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
