// Values of flags that several commands take.

import { InvalidArgumentError } from '@commander-js/extra-typings'

/** An empty value, for example from an unset variable, would mean the working directory. */
export function directory(text: string): string {
  if (text !== '') return text
  throw new InvalidArgumentError('It must not be empty.')
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text)
  if (level === undefined) throw new InvalidArgumentError(`It must be one of ${LOG_LEVELS.join(', ')}.`)
  return level
}
