// What the Accept header asks for by name (RFC 9110 §12.5.1).

/** Whether `accept` names `mediaType` with a weight above 0. Wildcards name nothing. */
export function namesMediaType(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined) return false
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    return type === mediaType && !parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter))
  })
}
