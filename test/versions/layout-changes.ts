// Changes between the layouts of two versions that have the same numbers.

import type { Layouts } from './layouts.ts'

/** Empty if every change has its new number. */
export function changed(before: Layouts, now: Layouts): readonly string[] {
  const isRaised = (name: keyof Layouts['versions']): boolean => now.versions[name] > before.versions[name]
  const bytes = (which: 'stored' | 'sent'): readonly string[] =>
    Object.keys(before[which]).filter((sample) => before[which][sample] !== now[which][sample])
  const stored = isRaised('format') ? [] : bytes('stored').map((sample) => `${sample}: raise FORMAT_VERSION`)
  const sent = isRaised('protocol') ? [] : bytes('sent').map((sample) => `${sample}: raise PROTOCOL_VERSION`)
  const known = Object.keys({ ...before.known, ...now.known }).flatMap((what) => {
    const [older, newer] = [before.known[what] ?? [], now.known[what] ?? []]
    const gone = isRaised('format') ? [] : older.filter((each) => !newer.includes(each))
    const added = isRaised('cluster') ? [] : newer.filter((each) => !older.includes(each))
    return [
      ...gone.map((each) => `${what}: ${each} is gone: raise FORMAT_VERSION`),
      ...added.map((each) => `${what}: ${each} is new: raise CLUSTER_VERSION`),
    ]
  })
  return [...stored, ...sent, ...known]
}
