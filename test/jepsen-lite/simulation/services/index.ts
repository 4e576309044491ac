// Every service of this folder, by its name.

import { apiLimiter } from './api-limiter.ts'
import { inventory } from './inventory.ts'
import { invoiceScheduler } from './invoice-scheduler.ts'
import { limitsReloader } from './limits-reloader.ts'
import { mailWorker } from './mail-worker.ts'
import { numberServer } from './number-server.ts'
import { orderSaga } from './order-saga.ts'
import { payments } from './payments.ts'
import { priceCache } from './price-cache.ts'
import { reportRunner } from './report-runner.ts'
import type { Service } from './service.ts'
import { ticketOffice } from './ticket-office.ts'
import { visitCounter } from './visit-counter.ts'

export const SERVICES: Readonly<Record<string, Service>> = {
  'api-limiter': apiLimiter,
  inventory,
  'invoice-scheduler': invoiceScheduler,
  'limits-reloader': limitsReloader,
  'mail-worker': mailWorker,
  'number-server': numberServer,
  'order-saga': orderSaga,
  payments,
  'price-cache': priceCache,
  'report-runner': reportRunner,
  'ticket-office': ticketOffice,
  'visit-counter': visitCounter,
}
