import { describe, expect, it } from 'vitest';
import { loadLibrary } from './library.ts';

describe('@platformatic/kafka', () => {
  it('that is not installed is told with the key, the package and the command that installs it', async () => {
    const missing = Object.assign(new Error("Cannot find package '@platformatic/kafka' imported from …"), { code: 'ERR_MODULE_NOT_FOUND' });
    await expect(loadLibrary(() => Promise.reject(missing))).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message:
        '"kafka-client" is "platformatic", and its package @platformatic/kafka is not installed here; install it: npm install @platformatic/kafka@2',
    });
  });

  it('that is installed and broken is told with its own words', async () => {
    const broken = Object.assign(new Error("Cannot find package 'ajv'"), { code: 'ERR_MODULE_NOT_FOUND' });
    await expect(loadLibrary(() => Promise.reject(broken))).rejects.toThrow("can't be loaded (Cannot find package 'ajv')");
  });

  it('prints no request, whatever DEBUG is set to: a request may hold a password', async () => {
    const { loggers } = await loadLibrary();
    expect(loggers.protocol.enabled).toBe(false);
  });
});
