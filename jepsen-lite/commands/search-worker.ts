// The worker thread of one search of `jepsen-lite sim --jobs`.

import { parentPort, workerData } from 'node:worker_threads'
import { runSearch, type SearchMessage, type SearchPlan } from './search-run.ts'

const send = (message: SearchMessage): void => parentPort?.postMessage(message)

send({ result: await runSearch(workerData as SearchPlan, (progress) => send({ progress })) })
