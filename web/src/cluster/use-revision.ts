import { useEffect, useState } from 'preact/hooks'
import { newest } from './cluster-view.ts'

const STEP_MS = 2_000

/** The revision of the store, which changes at most every two seconds: a page reads again when it does. */
export function useRevision(): number {
  const [revision, setRevision] = useState(newest.peek()?.revision ?? 0)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = newest.subscribe(() => {
      timer ??= setTimeout(() => {
        timer = undefined
        setRevision(newest.peek()?.revision ?? 0)
      }, STEP_MS)
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [])
  return revision
}
