import { useCallback, useEffect, useState } from 'preact/hooks'
import { describeError } from '../cluster/connection.ts'
import { logins } from '../cluster/credentials.ts'

export interface RequestState<T> {
  /** The newest answer. It stays while the next one is awaited. */
  readonly data: T | undefined
  readonly error: string | undefined
  /** Nothing has been answered yet. */
  readonly isLoading: boolean
  readonly reload: () => void
}

/**
 * Reads something while its component is shown, again when a dependency changes, and when somebody has logged in. The
 * request ends with it.
 */
export function useRequest<T>(
  read: (signal: AbortSignal) => Promise<T>,
  dependencies: readonly unknown[],
): RequestState<T> {
  const [state, setState] = useState<Omit<RequestState<T>, 'reload'>>({
    data: undefined,
    error: undefined,
    isLoading: true,
  })
  const [count, setCount] = useState(0)
  useEffect(() => {
    const ended = new AbortController()
    read(ended.signal).then(
      (data) => {
        if (!ended.signal.aborted) setState({ data, error: undefined, isLoading: false })
      },
      (error: unknown) => {
        if (!ended.signal.aborted)
          setState((before) => ({ data: before.data, error: describeError(error), isLoading: false }))
      },
    )
    return () => ended.abort()
  }, [...dependencies, count, logins.value])
  const reload = useCallback(() => setCount((before) => before + 1), [])
  return { ...state, reload }
}
