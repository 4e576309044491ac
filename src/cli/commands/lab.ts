// kv lab: serves the lab, a cluster that runs in a browser page, on this machine.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Command } from '@commander-js/extra-typings'
import { BuiltPage, LAB } from '../../console/built-page.ts'
import { LAB_PORT } from '../../console/lab-port.ts'
import { Failure, failureReason } from '../../local/failure.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { openInBrowser } from '../exec/browser.ts'
import { EXIT } from '../exit-codes.ts'
import { portNumber } from '../flags/address-values.ts'
import { say, writeLine } from '../terminal/output.ts'
import { onStopSignals } from '../terminal/stop-signals.ts'

const HOST = '127.0.0.1'

export const command = (_: ProgramContext) =>
  withExamples(new Command('lab'), ['kv lab', 'kv lab --open'])
    .description('serve the lab: a cluster in a page of your browser, to see how Raft works')
    .option(
      '--port <port>',
      `of the page (default: ${LAB_PORT}, or a free one where it is taken)`,
      portNumber,
    )
    .option('--open', 'open the page in the browser')
    .action(async ({ port, open }) => {
      const server = new LabServer()
      const address = await server.listen(port)
      await writeLine(address)
      if (open === true) {
        const reason = await openInBrowser(address)
        if (reason !== undefined) say(`open this address in a browser; none was opened: ${reason}`)
      }
      await new Promise<void>((resolve) => onStopSignals(() => resolve(), resolve))
      await server.close()
    })

class LabServer {
  readonly #page = new BuiltPage(LAB)
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  /** Returns the address of the page. */
  async listen(port: number | undefined): Promise<string> {
    const isBuilt = await this.#page.find('', { ifNoneMatch: undefined, acceptEncoding: undefined })
    if ('missing' in isBuilt) throw new Failure(EXIT.failed, isBuilt.missing)
    for (const planned of port === undefined ? [LAB_PORT, 0] : [port]) {
      try {
        await this.#listenAt(planned)
        break
      } catch (error) {
        if (planned === (port ?? 0))
          throw new Failure(EXIT.failed, `the lab cannot use port ${planned}: ${failureReason(error)}`)
      }
    }
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the lab has no port')
    return `http://${HOST}:${address.port}/`
  }

  #listenAt(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: HOST, port, exclusive: true }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '/' } = request
    if (method !== 'GET' && method !== 'HEAD') {
      refuse(response, 405, 'the lab answers GET and HEAD')
      return
    }
    const { 'if-none-match': ifNoneMatch, 'accept-encoding': acceptEncoding } = request.headers
    const path = url.split('?', 1)[0]?.slice(1) ?? ''
    try {
      const answer = await this.#page.find(path, { ifNoneMatch, acceptEncoding: acceptEncoding?.toString() })
      if ('missing' in answer) refuse(response, 404, answer.missing)
      else response.writeHead(answer.status, [...answer.headers]).end(answer.body)
    } catch (error) {
      refuse(response, 500, failureReason(error))
    }
  }
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${why}\n`)
}
