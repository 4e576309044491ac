// Numbers, sizes, durations and times as text, always with their unit.

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

export const formatCount = (count: number): string => WHOLE.format(count)

/** A rate: `0.4/s`, `12/s`, `1,204/s`. */
export const formatRate = (perSecond: number): string =>
  `${perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : WHOLE.format(perSecond)}/s`

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function formatBytes(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** step
  return `${step === 0 || value >= 100 ? WHOLE.format(value) : value.toFixed(1)} ${SIZES[step]}`
}

/** A time of computing or of the network: `850 µs`, `4.6 ms`, `1.2 s`. */
export function formatLatency(seconds: number): string {
  if (seconds < 0.001) return `${WHOLE.format(seconds * 1e6)} µs`
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`
  return `${seconds.toFixed(1)} s`
}

/** A time that people wait for: `9 s`, `4 min 10 s`, `2 h 5 min`, `89 days`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `−${formatDuration(-ms)}`
  const seconds = Math.round(ms / 1000)
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} days`
}

export const formatClock = (time: number): string => CLOCK.format(time)
export const formatTime = (time: number): string => DATE.format(time)
export const formatPercent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`

/** `1 key`, `3 keys`. */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`
