// Where the user is stands in the fragment of the URL: `#/keys/config/a?rev=12`. So each place has a link, and the back
// button goes back.

import { signal } from '@preact/signals'
import { takePastedToken } from './cluster/credentials.ts'

export interface PageRoute {
  /** The name of a page. */
  readonly page: string
  /** The path after it, decoded, without the slash between them. It may be empty. */
  readonly rest: string
  readonly query: URLSearchParams
}

const FIRST_PAGE = 'overview'

export function parseRoute(fragment: string): PageRoute {
  const text = fragment.replace(/^#?\/?/, '')
  const mark = text.indexOf('?')
  const path = mark === -1 ? text : text.slice(0, mark)
  const query = new URLSearchParams(mark === -1 ? '' : text.slice(mark + 1))
  const slash = path.indexOf('/')
  const page = slash === -1 ? path : path.slice(0, slash)
  return { page: page || FIRST_PAGE, rest: slash === -1 ? '' : decodePath(path.slice(slash + 1)), query }
}

/** The link to a place. undefined values of the query are left out. */
export function href(
  page: string,
  rest = '',
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const path = rest === '' ? page : `${page}/${encodePath(rest)}`
  return `#/${path}${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}`
}

const encodePath = (text: string): string => encodeURIComponent(text).replaceAll('%2F', '/')

/** A fragment that somebody typed may have a percent sign that begins no escape. */
function decodePath(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const route = signal(parseRoute(location.hash))

addEventListener('hashchange', () => {
  if (!takePastedToken()) route.value = parseRoute(location.hash)
})

/** `replace`: the back button does not come back to the present place. */
export function navigate(to: string, { replace = false } = {}): void {
  if (!replace) {
    location.hash = to
    return
  }
  history.replaceState(null, '', to)
  route.value = parseRoute(to)
}
