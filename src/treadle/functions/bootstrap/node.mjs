// Runs one Node.js function: loads the handler, then asks the Runtime API for one invocation after the other.
//
// Behaves as Lambda's own runtime client does: how a handler is found and called, when an invocation has ended, what
// errors and log lines look like. Never reads anything but its environment and the Runtime API.

import { existsSync, readFileSync, statSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { format, types } from 'node:util';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true });
const require = createRequire(import.meta.url);

let requestId;
// What an error that nobody caught ends: the start first, then each invocation.
let reportFatal = reportStart;
// What it means for the invocation under way that there is nothing left to do.
let whenIdle;

// ---- the Runtime API ----

function call(method, operation, body, headers) {
  return new Promise((resolve, reject) => {
    const options = { host, port, method, path: `/2018-06-01/runtime/${operation}`, agent, headers };
    const sent = request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function post(operation, body, headers) {
  const length = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return call('POST', operation, body, { ...length, ...headers });
}

function postError(operation, error) {
  const described = describe(error);
  const type = encodeURIComponent(described.errorType);
  return post(operation, JSON.stringify(described), { 'Lambda-Runtime-Function-Error-Type': type });
}

function reportStart(error) {
  return postError('init/error', error);
}

// ---- errors ----

function named(name, message) {
  return Object.assign(new Error(message), { name: `Runtime.${name}` });
}

function describe(error) {
  if (types.isNativeError(error) || (error?.name && error.message && error.stack)) {
    return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split('\n') };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

function logError(title, reason) {
  const error = reason instanceof Error ? reason : new Error(reason);
  const { name, message, code, stack } = error;
  const known = { errorType: name, errorMessage: message, code };
  let line;
  try {
    line = JSON.stringify({ ...known, ...error, stack: String(stack).split('\n') });
  } catch {
    line = JSON.stringify(describe(error));
  }
  console.error(title, `\t${line}`);
}

// ---- log lines ----

function patchConsole() {
  const write = (level) => (message, ...rest) => {
    const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${format(message, ...rest)}`;
    process.stdout.write(`${line.replaceAll('\n', '\r')}\n`);
  };
  for (const name of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) console[name] = write(name.toUpperCase());
  console.log = console.info;
}

// ---- loading ----

async function load(handler) {
  const directory = path.dirname(handler);
  const [, module, property] = path.basename(handler).match(/^([^.]*)\.(.*)$/) ?? [];
  if (handler.includes('..') || !module || !property) throw named('MalformedHandlerName', `Bad handler '${handler}'`);
  const exported = await importModule(path.resolve(process.env.LAMBDA_TASK_ROOT, directory, module), module);
  const found = property.split('.').reduce((holder, key) => holder?.[key], exported);
  if (!found) throw named('HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw named('HandlerNotFound', `${handler} is not a function`);
  return found;
}

async function importModule(file, module) {
  try {
    const asModule = (name) => import(pathToFileURL(name));
    const scripts = inModulePackage(file) ? asModule : require;
    for (const [suffix, loader] of [['', require], ['.js', scripts], ['.mjs', asModule], ['.cjs', require]]) {
      if (statSync(file + suffix, { throwIfNoEntry: false })?.isFile()) return await loader(file + suffix);
    }
    return require(require.resolve(module, { paths: [process.env.LAMBDA_TASK_ROOT] }));
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw Object.assign(named('UserCodeSyntaxError', String(error)), { stack: error.stack });
    }
    if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error?.code)) {
      throw named('ImportModuleError', String(error));
    }
    throw error;
  }
}

function inModulePackage(file) {
  const folder = path.dirname(file);
  const manifest = path.join(folder, 'package.json');
  if (existsSync(manifest)) return JSON.parse(readFileSync(manifest)).type === 'module';
  return folder !== file && path.basename(folder) !== 'node_modules' && inModulePackage(folder);
}

// ---- invocations ----

const NEVER_SETTLED =
  'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that ' +
  'was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';

// Calls the handler and waits for what it settles on: a promise, the callback, or a method of the context.
function run(handler, event, context) {
  return new Promise((resolve) => {
    let waitsForIdle = true;
    let settled = false;
    const once = (settle) => (...parameters) => {
      if (!settled) {
        settled = true;
        settle(...parameters);
      }
    };
    const done = (error, value) => resolve(error === undefined || error === null ? { value } : { error });
    const fail = (error) => done(error ?? 'handled');
    whenIdle = () => {
      if (handler.constructor.name === 'AsyncFunction') fail(named('NodeJsExit', NEVER_SETTLED));
      else done(null, null);
    };
    const callback = (error, value) => {
      const failed = error !== undefined && error !== null;
      if (failed || !waitsForIdle) done(error, value);
      else whenIdle = () => done(null, value);
    };
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      enumerable: true,
      get: () => waitsForIdle,
      set: (value) => (waitsForIdle = value),
    });
    const succeed = (value) => done(null, value);
    Object.assign(context, { succeed: once(succeed), fail: once(fail), done: once(done) });
    try {
      const result = handler(event, context, once(callback));
      if (typeof result?.then === 'function') result.then(context.succeed, context.fail);
    } catch (error) {
      once(fail)(error);
    }
  });
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const clientContext = headers['lambda-runtime-client-context'];
  return {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: clientContext === undefined ? undefined : JSON.parse(clientContext),
    identity: undefined,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function serialise(value) {
  try {
    // A function or a symbol has no JSON; Lambda answers null for it, as for undefined.
    return JSON.stringify(value) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

async function serve(handler) {
  for (;;) {
    const { headers, body } = await call('GET', 'invocation/next');
    requestId = headers['lambda-runtime-aws-request-id'];
    process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
    const operation = `invocation/${requestId}`;
    const report = (error) => postError(`${operation}/error`, error);
    reportFatal = report;
    let outcome = await run(handler, JSON.parse(body), contextOf(headers));
    whenIdle = undefined;
    if (!('error' in outcome)) {
      try {
        outcome = { text: serialise(outcome.value) };
      } catch (error) {
        outcome = { error };
      }
    }
    if ('error' in outcome) {
      logError('Invoke Error', outcome.error);
      await report(outcome.error);
    } else {
      await post(`${operation}/response`, outcome.text);
    }
  }
}

async function endWith(status, title, error) {
  logError(title, error);
  await reportFatal(error).catch(() => {});
  process.exit(status);
}

patchConsole();
process.on('uncaughtException', (error) => endWith(129, 'Uncaught Exception', error));
process.on('unhandledRejection', (reason) => {
  const error = Object.assign(named('UnhandledPromiseRejection', String(reason)), { reason });
  endWith(128, 'Unhandled Promise Rejection', error);
});
process.on('beforeExit', () => whenIdle && setImmediate(whenIdle));

load(process.env._HANDLER).then(serve, (error) => endWith(1, 'Uncaught Exception', error));
