// How far the user is in each lesson. It stays in the browser, if that keeps anything.

import { signal } from '@preact/signals'
import { keepText, keptText } from '../../design/kept-text.ts'

const KEY = 'quorate.lessons'
const store = () => localStorage

interface Progress {
  /** The step to continue with, from 0 on. */
  readonly step: number
  readonly isDone: boolean
}

export const progress = signal<Readonly<Record<string, Progress>>>(stored())

function stored(): Readonly<Record<string, Progress>> {
  try {
    const value: unknown = JSON.parse(keptText(store, KEY) ?? '{}')
    if (typeof value !== 'object' || value === null) return {}
    return Object.fromEntries(
      Object.entries(value).map(([name, { step, isDone }]) => [
        name,
        { step: Number.isSafeInteger(step) ? Number(step) : 0, isDone: isDone === true },
      ]),
    )
  } catch {
    return {}
  }
}

/** This step of the lesson has been done. */
export function stepDone(name: string, step: number, isLast: boolean): void {
  // Another tab may have gone on with other lessons.
  const known = { ...progress.peek(), ...stored() }
  const isDone = isLast || known[name]?.isDone === true
  progress.value = { ...known, [name]: { step: isLast ? 0 : step + 1, isDone } }
  keepText(store, KEY, JSON.stringify(progress.peek()))
}
