import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { describeError, NoAnswerError, RefusedError } from './connection.ts'
import { logins } from './credentials.ts'
import { readsStale } from './freshness.ts'
import { readableName } from './self.ts'

export interface RequestState<T> {
  /** The newest answer. It stays while the next one is awaited. */
  readonly data: T | undefined
  readonly error: string | undefined
  /** Nothing has been answered yet. */
  readonly isLoading: boolean
  readonly reload: () => void
}

/** The pause after a failure that may pass: in a quiet store, nothing else would end its message. */
const RETRY_MS = 2_000

/**
 * Reads something while its component is shown, and again when a dependency or the login changes. It also reads again
 * when reads become stale or fresh, and when the user may read other keys. The request ends with the component.
 * `version`: what is read may have changed. A request in flight is answered first, then one more is made: under steady
 * writes a page would show nothing otherwise. `show` gets what a long read has so far.
 */
export function useRequest<T>(
  read: (signal: AbortSignal, show: (part: T) => void) => Promise<T>,
  dependencies: readonly unknown[],
  version = 0,
): RequestState<T> {
  const [state, setState] = useState<Omit<RequestState<T>, 'reload'>>({
    data: undefined,
    error: undefined,
    isLoading: true,
  })
  const [count, setCount] = useState(0)
  const newest = useRef({ read, version })
  newest.current = { read, version }
  const readAgain = useRef<() => Promise<void>>(undefined)
  useEffect(() => {
    const ended = new AbortController()
    const { signal } = ended
    let begun: number | undefined
    let isReading = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const readNewest = async (): Promise<void> => {
      if (isReading) return
      isReading = true
      while (!signal.aborted && begun !== newest.current.version) {
        begun = newest.current.version
        clearTimeout(timer)
        const show = (part: T): void => {
          if (!signal.aborted) setState((before) => ({ ...before, data: part }))
        }
        try {
          const data = await newest.current.read(signal, show)
          if (!signal.aborted) setState({ data, error: undefined, isLoading: false })
        } catch (error) {
          if (signal.aborted) return
          setState((before) => ({ data: before.data, error: describeError(error), isLoading: false }))
          if (mayPass(error)) timer = setTimeout(retry, RETRY_MS)
        }
      }
      isReading = false
    }
    const retry = (): void => {
      begun = undefined
      void readNewest()
    }
    readAgain.current = readNewest
    void readNewest()
    return () => {
      ended.abort()
      clearTimeout(timer)
    }
  }, [...dependencies, count, logins.value, readsStale.value, readableName.value])
  useEffect(() => void readAgain.current?.(), [version])
  const reload = useCallback(() => setCount((before) => before + 1), [])
  return { ...state, reload }
}

const mayPass = (error: unknown): boolean =>
  error instanceof RefusedError ? error.problem.passing : error instanceof NoAnswerError
