import { describe, expect, it } from 'vitest';
import { Forecast } from './forecast.ts';

describe('when a secondary will have caught up', () => {
  it('is now, when it has everything', () => {
    expect(new Forecast().caughtUpInMs(0)).toBe(0);
  });

  it('is unknown before two samples', () => {
    const forecast = new Forecast();
    forecast.observe(0, 0, 1000);
    expect(forecast.caughtUpInMs(1000)).toBeNull();
  });

  it('follows from how fast it catches up', () => {
    const forecast = new Forecast();
    forecast.observe(0, 0, 1000);
    forecast.observe(500, 600, 1100);
    expect(forecast.caughtUpInMs(500)).toBe(500);
  });

  it('is unknown when it falls further behind, and after the link was lost', () => {
    const forecast = new Forecast();
    forecast.observe(0, 0, 1000);
    forecast.observe(500, 100, 2000);
    expect(forecast.caughtUpInMs(1900)).toBeNull();
    forecast.reset();
    expect(forecast.caughtUpInMs(1900)).toBeNull();
  });
});
