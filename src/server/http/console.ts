// The console under /ui/: a page and its files, and the facts with which the page begins. They say no more to a client
// without a user than the page at `/`, so that a user can log in on it. A node whose console nobody opens loads none of
// it.

import { NodeConsoleDocument } from '../../operations/documents/console.ts'
import { ApiError } from '../../operations/forms/index.ts'
import { jsonResponse } from '../../operations/http/form.ts'
import { object } from '../../operations/http/json-schema.ts'
import { type Route, route } from '../../operations/http/route.ts'
import { LazyValue } from '../../system/lazy-value.ts'
import type { Api } from '../api/api.ts'
import { FOR_ALL } from '../clients/gate.ts'
import type { HttpResponse } from '../connections/messages.ts'
import { CONSOLE_PATH } from '../connections/target.ts'
import type { DriverStatus } from '../node/observe/status.ts'
import { type LaterResponse, type ServedRoute, served } from './app.ts'

/** `directory`: the folder of the build, if it is another one than that of this program. */
export function consoleRoutes(
  { node, version }: Pick<Api, 'node' | 'version'>,
  directory: string | undefined,
): readonly ServedRoute[] {
  const console = new LazyValue(async () => {
    const { BuiltPage, CONSOLE } = await import('../../console/built-page.ts')
    return new BuiltPage(CONSOLE, directory)
  })
  const serve =
    (path: string): LaterResponse =>
    async ({ headers }) => {
      const page = await console.get()
      const request = {
        ifNoneMatch: headers['if-none-match'],
        acceptEncoding: headers['accept-encoding'],
      }
      const urls = members(node.status()).map(({ url }) => url)
      const answer = await page.find(path, request, urls)
      if ('missing' in answer) throw new ApiError('route_not_found', answer.missing)
      return { ...answer, revision: undefined }
    }
  const routes: readonly Route<HttpResponse | LaterResponse>[] = [
    route(
      { method: 'GET', path: CONSOLE_PATH, summary: 'Redirects to the console', answers: object({}) },
      () => ({
        status: 308,
        headers: ['Location', `${CONSOLE_PATH}/`],
        body: '',
        revision: undefined,
      }),
    ),
    route(
      {
        method: 'GET',
        path: `${CONSOLE_PATH}/`,
        summary: 'The console, a page for browsers',
        answers: 'text/html',
      },
      () => serve(''),
    ),
    route(
      {
        method: 'GET',
        path: `${CONSOLE_PATH}/assets/:file`,
        summary: 'A file of the console',
        answers: '*/*',
      },
      ({ params }) => serve(`assets/${params.file}`),
    ),
    route(
      {
        method: 'GET',
        path: `${CONSOLE_PATH}/console.json`,
        summary: 'What the console must know before a user logs in',
        answers: NodeConsoleDocument.schema,
      },
      () => {
        const status = node.status()
        const { name, clusterId } = status
        const facts = { kind: 'node', node: name, version, clusterId, members: members(status) } as const
        return jsonResponse(NodeConsoleDocument.stringify(facts), FACTS_HEADERS)
      },
    ),
  ]
  return routes.map((each) => served({ ...FOR_ALL, isPage: PAGES.has(each.path) }, each))
}

/** Paths that a link may lead to. */
const PAGES: ReadonlySet<string> = new Set([CONSOLE_PATH, `${CONSOLE_PATH}/`])

const FACTS_HEADERS = [
  ...['Cache-Control', 'no-cache', 'X-Content-Type-Options', 'nosniff'],
  ...['Cross-Origin-Resource-Policy', 'same-origin'],
] as const

const members = ({ raft }: DriverStatus): readonly { readonly name: string; readonly url: string }[] =>
  raft.configuration.members
    .map(({ name, url }) => ({ name, url }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
