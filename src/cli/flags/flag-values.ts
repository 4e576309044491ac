// Parsers of arguments and flags. Each throws what the command line says behind "is invalid".

import { InvalidArgumentError } from '@commander-js/extra-typings'
import { isLeaseId, LEASE_ID_FORM } from '../../operations/forms/leases.ts'
import { PROGRESS_MS_MAX, PROGRESS_MS_MIN } from '../../operations/watch.ts'

const LEASE_MS_MIN = 1_000
const LEASE_MS_MAX = 87_600 * 3_600_000
const TIMING_MS_MAX = 30 * 60_000
const STALENESS_MS_MAX = 24 * 3_600_000
const PRIORITY_MAX = 999
const SEED_MAX = 2 ** 32 - 1

function invalid(message: string): never {
  throw new InvalidArgumentError(message)
}

export function parseText(text: string): string {
  return text === '' ? invalid('it must not be empty') : text
}

/** Its scheme may be any. `localhost:80` alone would be one with the scheme `localhost`. */
export function parseUrl(text: string): string {
  const isUrl = URL.canParse(text) && /^[a-z][a-z0-9+.-]*:\/\/./i.test(text)
  return isUrl ? text : invalid('it must be a URL, as in http://10.0.0.1:80')
}

/** An empty path, for example from an unset variable, would mean the working directory. */
export const directory = parseText

export function parseCount(text: string): number {
  const count = Number(text)
  return /^[0-9]+$/.test(text) && Number.isSafeInteger(count) ? count : invalid('it must be a whole number')
}

export function parsePositive(text: string): number {
  return parseCount(text) || invalid('it must be a whole number from 1 on')
}

export function parseSeed(text: string): number {
  const seed = parseCount(text)
  return seed <= SEED_MAX ? seed : invalid(`it must be from 0 to ${SEED_MAX}`)
}

export function parseRevision(text: string): number {
  return parseCount(text) || invalid('the first revision is 1')
}

export function parsePriority(text: string): number {
  const priority = parseCount(text)
  return priority <= PRIORITY_MAX ? priority : invalid(`it must be from 0 to ${PRIORITY_MAX}`)
}

export function parseWeight(text: string): number {
  const weight = Number(text)
  const isNumber = /^[0-9]+([.][0-9]+)?$/.test(text) && Number.isFinite(weight)
  return isNumber ? weight : invalid('it must be a number from 0 on')
}

export function parseLease(text: string): string {
  return isLeaseId(text) ? text : invalid(`the id of a lease is ${LEASE_ID_FORM}`)
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a number with ms, s, m or h; undefined if the text is no duration. */
export function parseDurationIfValid(text: string): number | undefined {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/.exec(text) ?? []
  const unitMs = UNIT_MS[unit ?? '']
  return unitMs === undefined ? undefined : Number(amount) * unitMs
}

/** Milliseconds. */
export function parseDuration(text: string): number {
  return (
    parseDurationIfValid(text.trim()) ??
    invalid('a duration is a number with ms, s, m or h, like 500ms or 5s')
  )
}

/** A duration above 0. */
export function parseTimeout(text: string): number {
  const ms = parseDuration(text)
  return ms >= 1 ? ms : invalid('it must be at least 1ms')
}

/** The intervals of heartbeats and elections (drawn from one to two election timeouts), within a node's limits. */
export function parseTiming(text: string): number {
  const ms = parseDuration(text)
  return ms >= 1 && ms <= TIMING_MS_MAX ? ms : invalid('it must be from 1ms to 30m')
}

/** The life of a token, within a node's limits. */
export function parseTokenTime(text: string): number {
  const ms = parseDuration(text)
  return ms >= 1_000 && ms <= TOKEN_MS_MAX ? ms : invalid('it must be from 1s to 480h')
}

/** Twenty days. */
const TOKEN_MS_MAX = 20 * 24 * 3_600_000

/** The interval of the progress of a watch. */
export function parseProgress(text: string): number {
  const ms = parseDuration(text)
  return ms >= PROGRESS_MS_MIN && ms <= PROGRESS_MS_MAX ? ms : invalid('it must be from 100ms to 1h')
}

/** How old a stale read may be, within a node's limits. */
export function parseStaleness(text: string): number {
  const ms = parseDuration(text)
  return ms > 0 && ms <= STALENESS_MS_MAX ? ms : invalid('it must be above 0 and up to 24h')
}

/** The duration of a lease. */
export function parseLeaseTime(text: string): number {
  const ms = parseDuration(text)
  return ms >= LEASE_MS_MIN && ms <= LEASE_MS_MAX ? ms : invalid('it must be from 1s to 87600h (ten years)')
}

/** The client checks the addresses. */
export function parseEndpoints(text: string): string[] {
  const endpoints = text.split(',').filter((part) => part.trim() !== '')
  return endpoints.length > 0 ? endpoints : invalid('at least one endpoint is needed')
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const LOG_FORMATS = ['text', 'json'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]
