// Media types, and the Accept header (RFC 9110 §12.5.1).

/** Whether `accept` names `mediaType` with a weight above 0. Wildcards do not count. */
export function namesMediaType(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined) return false
  const ranges = accept.toLowerCase().split(',')
  return ranges.some((range) => {
    if (!range.includes(mediaType)) return false
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    return type === mediaType && !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter))
  })
}

/** Lines of JSON. */
export const LINES = 'application/x-ndjson'

/** Server-sent events. */
export const EVENT_STREAM = 'text/event-stream'
