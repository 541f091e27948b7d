//! # An operator of one's own
//!
//! An operator says what happens to a record, and nothing else: snapshots, rescales and the end are the engine's
//! business. What must survive a crash is kept in keyed state, by a `KeyedOperator`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use malstrom_core::operators::{Collected, Emit, KeyedOperator, Operator, from_iter};
use malstrom_runtime::prelude::*;

/// Celsius to Fahrenheit; readings that cannot be are dropped.
struct ToFahrenheit;

impl Operator<(u32, f64)> for ToFahrenheit {
    type Out = (u32, f64);

    fn process(&mut self, reading: Record<(u32, f64)>, out: &mut impl Emit<(u32, f64)>) {
        let (sensor, celsius) = reading.value;
        if celsius >= -273.15 {
            out.emit(Record::at(reading.time, (sensor, celsius * 1.8 + 32.0)));
        }
    }
}

/// Tells when a sensor's reading jumps.
struct Jumps {
    by: f64,
}

impl KeyedOperator<u32, f64> for Jumps {
    /// The sensor's last reading.
    type State = f64;
    type Out = String;

    fn process(
        &mut self,
        sensor: &u32,
        last: &mut Option<f64>,
        reading: Record<f64>,
        out: &mut impl Emit<String>,
    ) {
        let before = last.replace(reading.value);
        if before.is_some_and(|before| (reading.value - before).abs() > self.by) {
            out.emit(reading.with(format!("sensor {sensor} jumped to {:.1} °F", reading.value)));
        }
    }
}

const READINGS: [(u32, f64); 6] = [(1, 20.0), (2, 5.0), (1, 21.0), (2, -300.0), (2, 5.5), (1, 35.0)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alarms = Collected::default();
    let sink = alarms.clone();

    let job = SingleThread::builder()
        .job("sensors", move |job: &Job| {
            job.source("readings", from_iter(|| READINGS.into_iter()))
                .apply(ToFahrenheit)
                .into_keyed(|(sensor, fahrenheit)| (sensor, fahrenheit))
                .process_with("jumps", Jumps { by: 10.0 })
                .into_pairs()
                .map(|(_, alarm)| alarm)
                .transactional_sink("alarms", sink.sink());
        })
        .build()?;
    job.run()?;

    let alarms = alarms.take();
    println!("{alarms:?}");
    assert_eq!(alarms, ["sensor 1 jumped to 95.0 °F"]);
    Ok(())
}
