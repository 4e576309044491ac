// The moment at which a page shows a run, in the head of its link: `seed=3,at=5200;…`. It is no part of the schedule,
// so the run and its hash do not depend on it. A page imports this module alone.

const FIELD = /^at=(.*)$/

const parts = (link: string): { readonly head: readonly string[]; readonly lines: string } => {
  const end = link.includes(';') ? link.indexOf(';') : link.length
  const head = link.slice(0, end)
  return { head: head === '' ? [] : head.split(','), lines: link.slice(end) }
}

/** The moment, in virtual milliseconds; `NaN` if the link has another text there. */
export function linkMoment(link: string): number | undefined {
  const [text] = parts(link).head.flatMap((part) => FIELD.exec(part)?.[1] ?? [])
  return text === undefined ? undefined : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}

/** The link with this moment in place of its own; undefined: without one. */
export function withMoment(link: string, ms: number | undefined): string {
  const { head, lines } = parts(link)
  const others = head.filter((part) => !FIELD.test(part))
  return [...others, ...(ms === undefined ? [] : [`at=${notBefore(ms)}`])].join() + lines
}

/** Rounded up to microseconds: what has happened until a moment has happened in its link too. */
function notBefore(ms: number): number {
  const rounded = Math.round(ms * 1000)
  return (rounded / 1000 < ms ? rounded + 1 : rounded) / 1000
}

/** The link in the fragment of a URL. One that no browser has encoded is taken as it is, and names no run. */
export function linkOfFragment(fragment: string): string {
  try {
    return decodeURI(fragment)
  } catch {
    return fragment
  }
}
